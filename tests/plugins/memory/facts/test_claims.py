"""Statements about oneself: what they claim, and which of two holds."""

from __future__ import annotations

import time

import pytest

from hoshikage.plugins.memory.facts.claims import asks_for_the_past, claims_of, current, supersedes

CHANGED = [
    ("I live in Tokyo.", "I moved to Osaka last month."),
    ("I live in Tokyo", "By the way, I've just moved from Tokyo to Osaka!"),
    ("I'm living in Paris.", "I'm now based in Berlin."),
    ("I live in New York and work at Sony.", "I moved to Boston."),
    ("I work for Sony.", "I started working at Nintendo this week."),
    ("I work at Sony.", "I quit my job."),
    ("I work at Sony.", "I no longer work at Sony."),
    ("I'm a nurse.", "I became a teacher."),
    ("I work as a barista.", "I'm now a software engineer."),
    ("My name is John.", "I changed my name to Johanna."),
    ("I'm 30 years old.", "I just turned 31."),
    ("I'm single.", "I got married!"),
    ("I'm married.", "I got divorced."),
    ("My girlfriend is called Anna.", "My girlfriend's name is Emma."),
    ("I have a cat.", "My cat died yesterday."),
    ("I have a dog.", "I no longer have a dog."),
    ("My phone is a Pixel 8.", "I replaced my phone with an iPhone 15."),
    ("My car is a Toyota.", "My new car is a Honda"),
    ("My laptop is a ThinkPad X1.", "I sold my laptop."),
    ("My favorite color is blue.", "My favorite color is now green."),
    ("My favourite food is ramen.", "My favourite food is sushi."),
    ("My email is a@example.com.", "My new email address is b@example.com."),
    ("My phone number is 090-1234-5678.", "My phone number has changed to 080-1111-2222."),
    ("I'm vegan.", "I eat meat again."),
    ("I'm a vegetarian.", "I'm no longer vegetarian."),
    ("I'm allergic to peanuts.", "I'm no longer allergic to peanuts."),
    ("I love coffee.", "I don't like coffee anymore."),
    ("I don't like coffee.", "I love coffee now."),
    ("I drink coffee every day.", "I stopped drinking coffee."),
    ("I drink coffee.", "I switched from coffee to tea."),
    ("I smoke.", "I quit smoking."),
    ("I'm learning Spanish.", "I gave up learning Spanish."),
    ("The meeting is on Monday.", "The meeting is moved to Friday."),
    ("The meeting is on Monday.", "The meeting is on Friday, not Monday."),
    ("My dentist appointment is on May 5.", "My dentist appointment has been rescheduled to May 9."),
    ("My flight is at 9am.", "My flight was delayed to 11am"),
    ("My current project is a compiler.", "My current project is a game."),
    ("東京に住んでいます。", "先月大阪に引っ越しました。"),
    ("私は東京に住んでいます。", "東京から大阪に引っ越した。"),
    ("東京在住です。", "今は京都に住んでる。"),
    ("I live in Tokyo.", "大阪に引っ越しました"),
    ("ソニーで働いています。", "任天堂に転職しました。"),
    ("ソニーに勤めています。", "会社を辞めました。"),
    ("私は看護師です。", "エンジニアになりました。"),
    ("私の名前は太郎です。", "名前は次郎に変わりました。"),
    ("30歳です。", "31歳になりました。"),
    ("独身です。", "先月結婚しました。"),
    ("彼女の名前は花子です。", "彼女の名前は桃子です。"),
    ("猫を飼っています。", "うちの猫が亡くなりました。"),
    ("犬を飼っています。", "もう犬は飼っていません。"),
    ("スマホはPixel 8です。", "スマホをiPhone 15に買い替えました。"),
    ("車はプリウスです。", "車はフィットになりました。"),
    ("好きな色は青です。", "好きな色は緑になりました。"),
    ("一番好きな食べ物は寿司です。", "好きな食べ物はラーメンです。"),
    ("メールアドレスはa@example.comです。", "メールアドレスはb@example.comに変わりました。"),
    ("電話番号は090-1234-5678です。", "新しい電話番号は080-1111-2222です。"),
    ("ベジタリアンです。", "ベジタリアンをやめました。"),
    ("卵アレルギーです。", "もう卵アレルギーじゃないです。"),
    ("卵アレルギーがあります。", "卵アレルギーが治りました。"),
    ("コーヒーが好きです。", "もうコーヒーは好きじゃない。"),
    ("コーヒーが大好き!", "コーヒーが嫌いになりました。"),
    ("タバコを吸っています。", "タバコをやめました。"),
    ("ピアノを習っています。", "ピアノを習うのをやめた。"),
    ("コーヒーを飲んでいます。", "コーヒーから紅茶に変えました。"),
    ("会議は月曜日です。", "会議は金曜日に変更になりました。"),
    ("会議は月曜です。", "会議は月曜じゃなくて火曜です。"),
    ("歯医者は5月5日です。", "歯医者は5月9日に変わりました。"),
    ("会議は10時からです。", "会議の時間は11時に変わりました。"),
]
STAYS = [
    ("I live in Tokyo.", "I live in Tokyo, near the park."),
    ("I live in Tokyo.", "I moved to Linux."),
    ("I live in Tokyo.", "I moved to the window."),
    ("I live in Tokyo.", "If I moved to Osaka I would miss it."),
    ("I live in Tokyo.", "I want to move to Osaka."),
    ("I live in Tokyo.", "My mother lives in Osaka."),
    ("I live in Tokyo.", "She said I live in Osaka."),
    ("I live in Tokyo.", "Do I live in Osaka?"),
    ("I live in Tokyo.", "I used to live in Osaka."),
    ("I live in Tokyo.", "We moved to Friday."),
    ("I live in Tokyo.", "I visited Osaka."),
    ("I live in Tokyo.", "I work at Sony."),
    ("I work for Sony.", "I work at night."),
    ("I'm a nurse.", "I'm a photographer."),
    ("I have a cat.", "I have a dog."),
    ("I have a cat.", "My dog died."),
    ("My cat is called Mikan.", "My cat is called Yuzu."),
    ("My wife is called Anna.", "My wife is Japanese."),
    ("I'm allergic to peanuts.", "I'm allergic to shrimp."),
    ("I'm allergic to peanuts.", "I'm no longer allergic to shrimp."),
    ("I love coffee.", "I love tea."),
    ("I love coffee.", "I don't like tea anymore."),
    ("I drink coffee.", "I drink tea."),
    ("My favorite color is blue.", "My favorite food is ramen."),
    ("My work email is a@example.com.", "My private email is b@example.com."),
    ("My phone is a Pixel 8.", "My phone is broken."),
    ("My phone is a Pixel 8.", "My laptop is a MacBook."),
    ("I'm 30 years old.", "I'm 10 minutes late."),
    ("The meeting is on Monday.", "The meeting is at 10."),
    ("The meeting is on Monday.", "The party is on Friday."),
    ("The meeting is on Monday.", "Should the meeting be moved to Friday?"),
    ("I'm vegan.", "My brother is no longer vegan."),
    ("I live in Tokyo.", "Last year I moved to Nagoya for three months."),
    ("I work for Sony.", "I work with Anna."),
    ("I work at Sony.", "I retired from football."),
    ("I work at Sony.", "I'm retired for tonight."),
    ("I'm married.", "I'm engaged in a long project."),
    ("I'm married.", "I'm single-minded about chess."),
    ("My birthday is May 5.", "My birthday is coming soon."),
    ("My birthday is May 5.", "My birthday is on a Sunday this year."),
    ("My address is 1 Main Street", "My address is wrong in your records."),
    ("My favourite book is Dune.", "My favourite book is on the table."),
    ("My current project is Hoshikage.", "My current project is hard."),
    ("I turned 31.", "I turned 180 degrees."),
    ("I live in Tokyo.", "We moved to Zoom."),
    ("My favourite team is Arsenal.", "My favourite team is playing tonight."),
    ("My car is a Prius.", "My car is Red."),
    ("I work at Sony.", "I joined Netflix as a subscriber."),
    ("I'm vegan.", "I'm not a vegan chef."),
    ("東京に住んでいます。", "新しいアパートに引っ越しました。"),
    ("東京に住んでいます。", "二階に引っ越しました。"),
    ("住所は東京都港区1-1です。", "住所は変わっていないです。"),
    ("誕生日は5月5日です。", "誕生日は日曜日です。"),
    ("会社はソニーです。", "会社は楽しいです。"),
    ("会社はソニーです。", "会社は休みです。"),
    ("ソニーで働いています。", "夜勤で働いています。"),
    ("ソニーで働いています。", "港区で働いています。"),
    ("東京に住んでいます。", "母は大阪に住んでいます。"),
    ("東京に住んでいます。", "友達が、大阪に引っ越しました。"),
    ("東京に住んでいます。", "大阪に住みたいです。"),
    ("東京に住んでいます。", "大阪に引っ越したらどうなる?"),
    ("東京に住んでいます。", "大阪に住んでいる友達がいます。"),
    ("東京に住んでいます。", "大阪に住んでいますか?"),
    ("東京に住んでいます。", "彼は大阪に引っ越したらしい。"),
    ("東京に住んでいます。", "昔、大阪に住んでいました。"),
    ("東京に住んでいます。", "一人で暮らしています。"),
    ("ソニーで働いています。", "在宅で働いています。"),
    ("私は看護師です。", "娘は教師になりました。"),
    ("30歳です。", "娘は5歳です。"),
    ("独身です。", "友達が結婚しました。"),
    ("猫を飼っています。", "犬を飼っています。"),
    ("猫を飼っています。", "友達の猫が亡くなりました。"),
    ("好きな色は青です。", "好きな食べ物は寿司です。"),
    ("卵アレルギーです。", "もうエビアレルギーじゃない。"),
    ("コーヒーが好きです。", "紅茶が好きです。"),
    ("タバコを吸っています。", "お酒をやめました。"),
    ("会議は月曜日です。", "飲み会は金曜日です。"),
    ("会議は月曜日です。", "会議は10時からです。"),
    ("会議は月曜日です。", "会議は金曜日に変更できますか?"),
]


def superseded(older: str, newer: str) -> bool:
    """Whether any claim of a text does not hold after another text."""
    return any(
        supersedes(new, old)
        for old in claims_of(older).claims
        for new in claims_of(newer).claims
        if new.slot == old.slot
    )


@pytest.mark.parametrize(("older", "newer"), CHANGED)
def test_what_changed(older, newer):
    """The newer says how it is; said in the other order, an end of something ends nothing that comes later."""
    assert superseded(older, newer)


@pytest.mark.parametrize(("older", "newer"), STAYS)
def test_what_did_not_change(older, newer):
    """Other things, other people, questions, wishes and conditions say nothing of how it was."""
    assert not superseded(older, newer)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("I live in Tokyo.", True),
        ("Hi! By the way, I moved to Osaka last month. Thanks!", True),
        ("東京に住んでいます。", True),
        ("I live in Tokyo with my two children.", False),
        ("I live in Tokyo. Please write a function that sorts numbers.", False),
        ("東京に住んでいます。近所のおいしいラーメン屋を教えてください。", False),
        ("What a nice day", False),
        ("I live in Tokyo. " * 200, False),
    ],
)
def test_whether_a_text_says_little_else(text, whole):
    """Only then is it superseded as a whole."""
    assert whole is claims_of(text).whole


@pytest.mark.parametrize("text", ["は" * 1999 + "x", "が" * 1999 + "x", f"I live in{' ' * 1990}x", "\ufdfa" * 2000])
def test_no_text_takes_long_to_read(text):
    """Whatever it repeats, and whatever its characters become."""
    began = time.perf_counter()
    claims_of(text)

    assert time.perf_counter() - began < 0.2  # a second and more, where a rule takes the square of the length


def test_code_claims_nothing():
    """Nor does a text without end take time."""
    assert () == claims_of("```\nI live in Tokyo\n```").claims
    assert () == claims_of("a b, " * 100_000).claims


def test_what_holds_in_a_row_of_changes():
    """The last one; what was said twice holds twice."""
    texts = ("I live in Tokyo.", "I moved to Osaka.", "I live in Osaka.", "I moved to Tokyo.")
    claims = [claim for text in texts for claim in claims_of(text).claims]

    assert [3, 3, 3, 3] == current(claims)
    assert [2, 1, 2] == current(claims[:3])
    assert [] == current([])


@pytest.mark.parametrize(
    ("question", "past"),
    [
        ("Where did I live before Osaka?", True),
        ("What was my old phone?", True),
        ("以前はどこに住んでいた?", True),
        ("Where do I live?", False),
        ("How old am I?", False),
        ("どこに住んでいますか?", False),
    ],
)
def test_questions_for_the_past(question, past):
    """They want to know what is no longer so."""
    assert past is asks_for_the_past(question)
