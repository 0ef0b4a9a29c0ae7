"""What older rules made of the memories is made anew, once."""

from __future__ import annotations

from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database

ANN = Owner("", "ann")


def found(database):
    return [row.memory.text for row in database.matching(ANN, ["cat"], limit=5)]


def test_words_of_other_rules_are_read_again(tmp_path):
    """A file from before has no entry under today's terms; what is read once is not read at every start."""
    database = Database.open(tmp_path / "m.db")
    database.write(ANN, [Memory("", "My cat is called Kuro.", 0)])
    database._connection.execute("INSERT INTO term (term) VALUES ('delete-all')")
    database._connection.execute("UPDATE progress SET number = 1 WHERE name = 'terms'")
    assert [] == found(database)

    database.read_words()
    assert ["My cat is called Kuro."] == found(database)

    database._connection.execute("INSERT INTO term (term) VALUES ('delete-all')")
    database.read_words()
    assert [] == found(database)
    database.close()


def test_a_new_file_is_of_todays_rules(tmp_path):
    """Nothing in it needs to be read again, which would hold up whoever writes."""
    database = Database.open(tmp_path / "m.db")
    database.write(ANN, [Memory("", "My cat is called Kuro.", 0)])
    database._connection.execute("INSERT INTO term (term) VALUES ('delete-all')")

    database.read_words()

    assert [] == found(database)
    database.close()
