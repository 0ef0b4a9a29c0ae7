"""English statements about oneself that can change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from hoshikage.plugins.memory.facts.rules import Clause, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPLIT: Final = re.compile(
    r"\s*(?:[,;:]|\s-+\s|—|\b(?:and|but|so|because|since|although|though|then)\b)\s*", re.IGNORECASE
)
# What follows is no statement: a question, a wish, a condition, or what somebody else says.
_NO_STATEMENT: Final = re.compile(
    r"\?\s*$|\b(?:if|would|wouldn't|wish|might|maybe|perhaps|could|should|want|wanna|hope|imagine|pretend|suppose|unless|"
    r"used to|when i was|until|said|says|told|asked|thinks?|dream|story|novel|character|translate|for example|"
    r"let's say|going to|gonna|will|plan to|planning)\b(?! be)",
    re.IGNORECASE,
)
_CHANGE: Final = re.compile(
    r"\b(?:no longer|any ?more|instead of|changed|switched|replaced|correction|now|not [\w ]+ but)\b|,? not \w+[.!]?$",
    re.IGNORECASE,
)
_OPENING: Final = re.compile(
    r"^(?:(?:actually|well|by the way|btw|also|anyway|oh|hey|hi|hello|fyi|update|correction|as of today|these days|"
    r"currently|now|recently|finally|today|yesterday|last \w+|this \w+|in \w+|as you know|just so you know|good news|"
    r"please note|great|nice|unfortunately|luckily|sadly|yes|no|remember|note|because|that|i think|i guess)\b\s*)+",
    re.IGNORECASE,
)
_ELLIPSIS: Final = re.compile(
    r"^(?:now |currently |also |recently )*(?:live|work|have|moved|drive|love|like|hate|am|got|play|study|drink|smoke|"
    r"quit|became|started)\b",
    re.IGNORECASE,
)
_I: Final = re.compile(r"^(?:i|we)\b", re.IGNORECASE)

# Every rule begins with one of these.
STARTS: Final = re.compile(r"(?:i|we|my|our|the|please|call|im|i'm|we're|i've|we've)\b", re.IGNORECASE)


def clauses_of(sentence: str) -> Iterator[Clause]:
    """The clauses that can be statements, with the pronoun that "and work at …" leaves out."""
    sentence = " ".join(sentence.split())  # to split at a long run of spaces takes its square
    if _NO_STATEMENT.search(sentence):
        return
    changes, speaks = bool(_CHANGE.search(sentence)), False
    for part in _SPLIT.split(sentence):
        text = _OPENING.sub("", part.strip(" .!\"'()*-")) or part
        if speaks and _ELLIPSIS.match(text):
            text = f"I {text}"
        speaks = bool(_I.match(text)) or (speaks and not text)
        if text:
            yield Clause(text, japanese=False, changes=changes, rest=text)


_ADV = r"(?:(?:now|currently|still|just|recently|actually|also|finally|already|officially|really) )*"
_I_ADV = rf"^(?i:(?:i|we) {_ADV})"
_AM = rf"^(?i:(?:i'm|i am|im|we're|we are) {_ADV})"
_HAVE = rf"^(?i:(?:i|we)(?:'ve| have)? {_ADV})"
_NAME = r"(?P<v>[a-z]?[A-Z][\w'&-]*(?:\.[A-Za-z]\w*)?(?: (?:[A-Z0-9][\w'.&-]*|of|de|la))*)"
_END = r"(?= *(?:with|near|as|for|in|since|last|this|where|which|yesterday|today|a few|two|again|now|from|at)\b| *$)"
_THING = r"(?P<v>[\w'-]+(?: [\w'-]+){0,3}?)"
_CALLED = r"(?:'s name is| is (?:now )?called| is (?:now )?named)"
_STOP = r"(?: (?i:any ?more|at all|after all|a lot|very much|so much|too|again|now|these days|instead|as well))*$"
_OCCUPATION = (
    r"(?P<v>(?:[\w-]+ ){0,2}(?:teacher|nurse|doctor|engineer|developer|programmer|designer|student|lawyer|accountant|"
    r"chef|cook|writer|journalist|manager|consultant|scientist|researcher|professor|driver|pilot|farmer|artist|musician|"
    r"photographer|salesperson|electrician|plumber|carpenter|barista|waiter|waitress|dentist|pharmacist|architect|analyst|"
    r"librarian|translator|firefighter|officer|paramedic|vet|veterinarian|therapist|psychologist|secretary|receptionist|"
    r"intern|freelancer|contractor|editor|director|ceo|cto|founder|mechanic|soldier|housewife|homemaker))\b"
)
_PET = r"(?P<v>cat|dog|hamster|rabbit|bird|parrot|fish|goldfish|turtle|tortoise|snake|lizard|ferret|horse|puppy|kitten)"
_DEVICE = r"(?P<s>phone|smartphone|car|laptop|computer|bike|bicycle|tablet|camera|pc|motorcycle|watch|keyboard|monitor)"
_DIET = r"(?P<v>vegan|vegetarian|pescatarian|pescetarian|omnivore|gluten[- ]free|keto)"
_EVENT = (
    r"(?:my|the|our) (?P<s>(?:[\w'-]+ ){0,3}?(?:meeting|appointment|interview|exam|test|flight|train|deadline|party|"
    r"dinner|lunch|wedding|conference|presentation|trip|vacation|class|lesson|call|release|launch|surgery|operation|game|match|"
    r"concert|event|review|delivery|reservation|booking|date|ceremony|talk|workshop|session))"
)
_DAY = (
    r"(?P<v>(?:(?:next|this) )?(?:mon|tues|wednes|thurs|fri|satur|sun)day|tomorrow|today|next (?:week|month|year)|"
    r"(?:(?:january|february|march|april|may|june|july|august|september|october|november|december)\b(?: \d{1,2})?"
    r"(?:st|nd|rd|th)?)|(?:the )?\d{1,2}(?:st|nd|rd|th)?(?: of)? (?:january|february|march|april|may|june|july|august|"
    r"september|october|november|december)|the \d{1,2}(?:st|nd|rd|th)|\d{4}-\d\d-\d\d)"
)
_TIME = r"(?P<v>\d{1,2}(?::\d\d)? ?(?:am|pm|o'clock)?|noon|midnight)\b"
_TURNS = r" (?:is|has changed to|changed to) (?:now )?"
_AT = r"(?:,? at (?P<t>\d{1,2}(?::\d\d)? ?(?:am|pm|o'clock)?|noon|midnight))?"
_IS = r"(?: is| will be|'s| starts| takes place)(?: now)?(?: scheduled| set| planned)?"
_MOVED = (
    r"(?: is| was| has been| got| is being)?(?: now)? (?:moved|rescheduled|postponed|pushed|shifted|changed|delayed|"
    r"brought forward)(?: back| forward)?(?: from [\w :]+?)? (?:to|until|till)(?: the)?"
)
_A_WHILE = r"(?:an?|one|two|three|four|five|six|\d+|a few|some|several) (?:days?|weeks?|months?|semesters?|terms?)\b"
_OFTEN = r"(?i: (?:every|each|on|in|once|twice|daily|regularly|a lot|again|now)\b.*)?"
_GERUNDS = "smoking drinking playing studying practicing practising learning taking eating using doing watching reading"
_VERBS = "smoke drink play study practice practise learn take eat use do watch read"
_NO_HOME: Final = re.compile(
    r"(?:linux|windows|mac|macos|ubuntu|debian|python|rust|java|go|typescript|vs code|vim|neovim|emacs|github|gitlab|"
    r"aws|azure|gcp|iphone|android|firefox|chrome|slack|teams|notion|postgres|postgresql|sqlite|docker|kubernetes|step|phase|plan|"
    r"zoom|gmail|outlook|discord|spotify|netflix|obsidian|figma|jira|premium|table|room|desk|page|chapter|level|seat|team|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october|"
    r"november|december)\b.*",
)
_NO_NUMBER: Final = re.compile(r"\D*")  # neither an address nor a date
_NO_NAME: Final = re.compile(  # how it is, and not what
    r"(?:on|in|at|under|with|by|about|from|near|not|very|really|still|so|too|quite|almost|going|getting|doing|due|hard|"
    r"difficult|easy|fun|done|over|finished|late|stuck|delayed|gone|lost|broken|closed|the (?:best|worst|same)|"
    r"\w+ing (?:again|now|today|tonight|tomorrow|well|badly))\b.*"
)
_NO_PRODUCT: Final = re.compile(
    r"(?:great|good|bad|new|old|fast|slow|broken|dead|red|blue|green|black|white|gr[ae]y|silver|yellow|orange|brown|pink)"
)
_NO_THING: Final = re.compile(r"(?:it|that|this|you|them|him|her|to .*|how .*|what .*|when .*|your .*|.*\byou\b.*|)")


def _rule(slot: str, pattern: str, **more: Any) -> Rule:
    return Rule(slot, re.compile(pattern), **more)


# The first that fits a clause is taken.
RULES: Final = (
    # Where one lives.
    _rule("home", rf"{_I_ADV}(?i:(?:live|reside) in ){_NAME}{_END}", denied=_NO_HOME),
    _rule("home", rf"{_AM}(?i:(?:living|based|residing) in ){_NAME}{_END}", denied=_NO_HOME),
    _rule(
        "home",
        rf"{_HAVE}(?i:(?:moved|relocated)(?: back)?(?: from [\w ]+?)? to ){_NAME}(?! for {_A_WHILE}){_END}",
        changes=True,
        denied=_NO_HOME,
    ),
    _rule("home", rf"^(?i:(?:i|we) (?:no longer live|(?:don't|do not) live) in ){_NAME}", holds=False),
    _rule("address", r"^(?i:my (?:(?:new|current|home) )*address is (?:now )?)(?P<v>.{5,80})$", denied=_NO_NUMBER),
    # Work.
    _rule("employer", rf"{_I_ADV}(?i:work (?:for|at) ){_NAME}{_END}"),
    _rule("employer", rf"{_AM}(?i:(?:working|employed) (?:for|at|by) ){_NAME}{_END}"),
    _rule(
        "employer",
        rf"{_HAVE}(?i:(?:started|begun) (?:working|work|a new job|a job|my new job) (?:for|at|with) ){_NAME}{_END}",
        changes=True,
    ),
    _rule("employer", rf"{_HAVE}(?i:got (?:a|the|my) (?:new )?job (?:at|with) ){_NAME}{_END}", changes=True),
    _rule(
        "employer",
        rf"{_HAVE}(?i:joined ){_NAME}(?= as\b(?!.* (?:user|subscriber|member|guest|customer|player)\b))",
        changes=True,
    ),
    _rule("employer", rf"^(?i:my (?:new |current )?(?:employer|company) is (?:now )?){_NAME}{_END}"),
    _rule("employer", rf"{_HAVE}(?i:(?:quit|left|lost|resigned from) my job)(?: at {_NAME})?", holds=False),
    _rule("employer", rf"^(?i:(?:i|we) (?:no longer|don't|do not) work (?:for|at|with) ){_NAME}", holds=False),
    _rule("employer", rf"{_HAVE}(?i:(?:quit|left|resigned from) ){_NAME}$", holds=False),
    _rule(
        "employer",
        rf"(?:{_HAVE}|{_AM})(?i:retired)(?: from (?:my job|work))?(?= *$| (?:last|this|in|at|early|two|a few)\b)",
        holds=False,
    ),
    _rule(
        "occupation",
        rf"{_HAVE}(?i:(?:became|become|started (?:working )?as) an? {_OCCUPATION})",
        careful=True,
        changes=True,
    ),
    _rule("occupation", rf"(?:{_AM}|{_I_ADV}(?i:work as ))(?i:an? {_OCCUPATION})(?! (?:at heart|fan))", careful=True),
    _rule("occupation", r"^(?i:my (?:job|occupation|profession) is (?:now )?)(?P<v>[\w -]{3,40})$", careful=True),
    # Who one is.
    _rule("name", rf"^(?i:my (?P<s>full |last |first )?name is (?:now )?){_NAME}$"),
    _rule("name", rf"{_HAVE}(?i:changed my (?P<s>full |last |first )?name to ){_NAME}$", changes=True),
    _rule("nickname", rf"^(?i:(?:please )?call me ){_NAME}{_STOP}"),
    _rule("age", rf"{_AM}(?P<v>\d{{1,3}})(?i: years old)?(?= *$)"),
    _rule(
        "age", rf"{_HAVE}(?i:turned )(?P<v>\d{{1,3}})(?= *$| (?:last|this|in|on|today|yesterday|recently|years old)\b)"
    ),
    _rule("birthday", r"^(?i:my birthday is (?:on )?)(?P<v>[\w ]{3,25})$", denied=_NO_NUMBER),
    _rule("marriage", rf"{_AM}(?i:(?P<v>single|married|engaged|divorced|widowed))\b(?!-| (?:in|with|by)\b)"),
    _rule("marriage", rf"{_HAVE}(?i:(?:got|gotten) (?P<v>married|engaged|divorced))\b", changes=True),
    _rule(
        "partner",
        rf"^(?i:my (?P<s>wife|husband|partner|girlfriend|boyfriend|spouse){_CALLED} ){_NAME}$",
    ),
    _rule(
        "called",
        rf"^(?i:my (?P<s>(?:[\w-]+ ){{0,2}}[\w-]+?){_CALLED} ){_NAME}$",
        careful=True,
    ),
    # What one has.
    _rule("pet", rf"{_HAVE}(?i:(?:have|own|got|adopted|keep) (?:an?|one) (?:new )?{_PET})\b", each=True),
    _rule(
        "pet",
        rf"^(?i:(?:i|we) (?:no longer have|don't have|do not have) (?:an?|my|the|any) {_PET})\b",
        each=True,
        holds=False,
    ),
    _rule("pet", rf"^(?i:(?:my|our) {_PET}(?: \w+)? (?:has )?(?:died|passed away|ran away))\b", each=True, holds=False),
    _rule("pet", rf"{_HAVE}(?i:gave (?:away )?(?:my|our) {_PET})(?i: away)?", each=True, holds=False),
    _rule(
        "device",
        rf"^(?i:my (?:(?:new|current|main) )*{_DEVICE} is (?:now )?(?:an? |the )?){_NAME}$",
        denied=_NO_PRODUCT,
    ),
    _rule(
        "device",
        rf"{_HAVE}(?i:(?:replaced|traded|swapped|upgraded|changed) my {_DEVICE} (?:with|for|to) (?:an? )?){_NAME}$",
        changes=True,
    ),
    _rule("device", rf"{_I_ADV}(?i:use (?:an? )?){_NAME}(?i: as my {_DEVICE})"),
    _rule("device", rf"{_HAVE}(?i:sold (?:my|our) {_DEVICE})$", holds=False),
    _rule("device car", rf"{_I_ADV}(?i:drive an? ){_NAME}$"),
    _rule(
        "email",
        rf"^(?i:my (?P<s>(?:(?:work|personal|private|school) )?)(?:(?:new|current) )*(?:e-?mail|mail)"
        rf"(?: address)?{_TURNS})"
        r"(?P<v>\S+@\S+)",
    ),
    _rule(
        "phone",
        rf"^(?i:my (?P<s>(?:(?:work|home|office) )?)(?:(?:new|current|mobile|cell|phone) )*number{_TURNS})"
        r"(?P<v>\+?[\d() -]{5,20})$",
    ),
    # What one likes, does and eats.
    _rule(
        "favourite",
        r"^(?i:my (?:new |current |all-time )?favou?rite (?P<s>[\w-]+(?: [\w-]+){0,2}?) (?:is|are) (?:now )?)"
        r"(?P<v>[^,]{2,40})$",
        denied=_NO_NAME,
    ),
    _rule("diet", rf"{_AM}(?i:(?:an? )?{_DIET})\b"),
    _rule("diet", rf"{_HAVE}(?i:(?:became|become|went|turned|gone) (?:an? )?{_DIET})\b", changes=True),
    _rule("diet", r"^(?i:i (?:eat|started eating) meat (?:again|now))", value="meat", changes=True),
    _rule("diet", rf"^(?i:(?:i'm|i am) (?:no longer|not) (?:an? )?{_DIET}){_STOP}", holds=False),
    _rule("diet", rf"{_HAVE}(?i:(?:stopped|quit) being (?:an? )?{_DIET})\b", holds=False),
    _rule("allergy", rf"^(?i:(?:i'm|i am) (?:no longer|not) allergic to ){_THING}{_STOP}", each=True, holds=False),
    _rule("allergy", rf"{_AM}(?i:allergic to ){_THING}{_STOP}", each=True, denied=_NO_THING),
    _rule("allergy", rf"{_I_ADV}(?i:have an? )(?P<v>[\w-]+)(?i: allergy){_STOP}", each=True),
    _rule(
        "liking",
        rf"^(?i:i (?:no longer|don't|do not|didn't)(?: really| even)? (?:like|love|enjoy) ){_THING}{_STOP}",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule(
        "liking",
        rf"^(?i:i (?:hate|dislike|can't stand|stopped liking|stopped enjoying) ){_THING}{_STOP}",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule("liking", rf"{_I_ADV}(?i:(?:like|love|enjoy|adore) ){_THING}{_STOP}", each=True, denied=_NO_THING),
    _rule(
        "habit",
        rf"{_HAVE}(?i:switched from )(?P<old>[\w'-]+(?: [\w'-]+){{0,2}}?)(?i: to ){_THING}{_STOP}",
        each=True,
        changes=True,
    ),
    _rule(
        "habit",
        rf"{_HAVE}(?i:(?:quit|stopped|gave up|given up) (?P<v>smoking|drinking|studying|gaming)){_STOP}",
        each=True,
        holds=False,
    ),
    _rule(
        "habit",
        rf"{_HAVE}(?i:(?:quit|stopped|gave up|given up) (?:{'|'.join(_GERUNDS.split())}) ){_THING}{_STOP}",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule(
        "habit",
        rf"^(?i:(?:i|we) (?:no longer|don't|do not) (?:{'|'.join(_VERBS.split())}) ){_THING}(?i: any ?more)?$",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule(
        "habit",
        rf"{_I_ADV}(?i:(?:{'|'.join(_VERBS.split())}) ){_THING}{_OFTEN}$",
        each=True,
        denied=_NO_THING,
    ),
    _rule(
        "habit",
        rf"{_AM}(?i:(?:learning|studying|taking|practicing|practising|playing|reading) ){_THING}{_STOP}",
        each=True,
        denied=_NO_THING,
    ),
    _rule("habit", rf"{_I_ADV}(?i:smoke)(?i: \w+)?$", value="smoking", each=True),
    # What is planned.
    _rule("project", r"^(?i:my (?:current|new|main) project is (?:now )?)(?P<v>[^,]{2,50})$", denied=_NO_NAME),
    _rule("schedule day", rf"^(?i:{_EVENT}{_MOVED} {_DAY}{_AT})", changes=True),
    _rule("schedule time", rf"^(?i:{_EVENT}{_MOVED} {_TIME})$", changes=True),
    _rule("schedule day", rf"^(?i:{_EVENT}{_IS} (?:for |on |in )?{_DAY}{_AT})"),
    _rule("schedule time", rf"^(?i:{_EVENT}{_IS} (?:for |at ){_TIME})$"),
)
