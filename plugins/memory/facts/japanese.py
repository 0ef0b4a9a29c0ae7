"""Japanese statements about oneself that can change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from hoshikage.plugins.memory.facts.rules import Clause, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

_ME: Final = "(?:私たち|私|僕|ぼく|俺|おれ|わたし|あたし|自分|うち|我が家)"
# What follows is no statement: a question, a wish, a condition, hearsay, or what is only planned.
_NO_STATEMENT: Final = re.compile(
    "[?？]$|(?:か|かな|かしら|でしょう|だろう)[。!]*$|たら|なら|れば|たい(?:です|な|と思)?[。!]*$|らしい|そうです|って言|と言って|"
    "と聞い|かもしれ|予定だった|つもり|小説|物語|主人公|翻訳|例えば|たとえば|としたら|夢を見|ことがある|ていた[。!]*$|ていました[。!]*$"
)
_CHANGE: Final = re.compile(
    "もう|やめ|引っ越|変わ|変え|替え|変更|代わりに|今は|いまは|今では|になった|になりました|訂正|間違え"
)
_NOT_BUT: Final = re.compile("[^はがをに、。]{1,15}(?:じゃなくて|ではなくて|ではなく|じゃなく)、?")
_OPENING: Final = re.compile(
    "^(?:実は|ちなみに|そういえば|あと|それと|ところで|最近|先月|先週|昨日|今日|今年|去年|この前|やっと|ついに|とうとう|まだ|ずっと|"
    "現在は?|今では|今は|いまは|今|いま|(?:[0-9]+月|春|夏|秋|冬|来月|今月|今週)(?:から|に)|訂正(?:です)?|うん|はい|ええと|えっと|"
    f"{_ME}(?:は|も|って|の場合)|{_ME}が(?=[^好嫌])|[、:\\s])+"
)
# Somebody or something else is spoken of; it may go on over the next clauses.
_OTHER_TOPIC: Final = re.compile("^.+(?:は|が|も|って)$|^.[^がは]*[がは].*(?:て|で|し|ので|から|けど|が)$")


def clauses_of(sentence: str) -> Iterator[Clause]:
    """The clauses that can be statements about the one who speaks."""
    if _NO_STATEMENT.search(sentence):
        return
    changes = bool(_CHANGE.search(sentence) or _NOT_BUT.search(sentence))
    plain = _NOT_BUT.sub("", sentence).strip("。!！.~〜 ")
    for part in re.split("、|。|,", plain):
        text = _OPENING.sub("", part)
        if text:
            yield Clause(text, japanese=True, changes=changes, rest=text)
        if _OTHER_TOPIC.search(text):
            return


_TAIL = "(?:です)?(?:(?:んだ|んです|のです|の)?(?:よ|ね|な|わ|ので|から|けど|けれど|が|し)*)$"
_BE = "です|だ|である|になりました|になった|に変わりました|に変わった"
_IS = f"(?:{_BE}|に変更しました|に変更した|に変更になりました)?{_TAIL}"
_IS_SURE = f"(?:{_BE}){_TAIL}"
_DOES = f"(?:い)?(?:る|ます){_TAIL}"
_DID = f"(?:た|ました){_TAIL}"
_NOT = f"(?:い)?(?:ない|ません){_TAIL}"
_V = "(?P<v>[^はがをにへでと、。\\s]{1,15})"
_OLD = "(?:[^はがをにへでと、。\\s]{1,15}から)?"
_PET = (
    "(?P<v>猫|ネコ|ねこ|犬|イヌ|いぬ|ハムスター|うさぎ|ウサギ|鳥|インコ|文鳥|金魚|魚|亀|カメ|フェレット|トカゲ|蛇|馬)"
)
_DEVICE = (
    "(?P<s>スマートフォン|スマホ|携帯電話|携帯|ノートパソコン|パソコン|ノートPC|PC|愛車|車|自転車|バイク|カメラ|タブレット|"
    "時計|キーボード)"
)
_PRODUCT = "(?P<v>[A-Za-z0-9ァ-ヶー・ ]{2,25})"
_MINE = "(?:私の|僕の|俺の|うちの|今の|現在の|新しい|次の|今度の|明日の|来週の|今週の|今日の)*"
_OCCUPATION = (
    "(?P<v>[^はがをにへでと、。\\s]{0,8}?(?:教師|先生|医者|医師|看護師|エンジニア|プログラマー?|デザイナー|学生|大学院生|会社員|公務員|弁護士|会計士|"
    "税理士|料理人|シェフ|作家|ライター|記者|研究者|教授|運転手|農家|画家|音楽家|写真家|美容師|保育士|薬剤師|建築家|翻訳者|"
    "警察官|消防士|店長|主婦|主夫|フリーランス|自営業|編集者|介護士|獣医|歯科医))"
)
_DIET = "(?P<v>ベジタリアン|ヴィーガン|ビーガン|菜食主義者?)"
_EVENT = (
    "(?P<s>[^はがをにへで、。\\s]{0,10}?(?:会議|打ち合わせ|ミーティング|予約|歯医者|病院|試験|テスト|面接|フライト|締め切り|締切|発表|旅行|"
    "飲み会|出発|納期|期限|手術|結婚式|コンサート|ライブ|イベント|レッスン|授業|引っ越し|健康診断|検診|懇親会|送別会|試合))"
)
_DAY = (
    "(?P<v>(?:来週の?|今週の?|再来週の?)?[月火水木金土日]曜日?|(?:[0-9]{1,2}月)?[0-9]{1,2}日|[一二三四五六七八九十]+月[一二三四五六七八九十]+日|"
    "明日|明後日|来週|再来週|来月|[0-9]{1,2}/[0-9]{1,2})"
)
_TIME = "(?P<v>(?:午前|午後|朝|夜|夕方)?[0-9]{1,2}(?:時(?:半|[0-9]{1,2}分)?|:[0-9]{2}))"
_AT = "(?:の?(?P<t>(?:午前|午後|朝|夜|夕方)?[0-9]{1,2}(?:時(?:半|[0-9]{1,2}分)?|:[0-9]{2})))?"
_MOVED = (
    "(?:に|へ)(?:変わ(?:った|りました)|変更(?:した|しました|になった|になりました|された|されました|です)|延期(?:した|しました|になった|になりました|"
    "された|されました|です)?|移(?:った|りました)|ずれ(?:た|ました)|な(?:った|りました)|前倒し(?:になった|になりました|です))"
)
_QUITS = "(?:やめ|止め|辞め)"
_NO_PLACE: Final = re.compile(
    "実家|一人|ひとり|二人|家族|ここ|そこ|近く|アパート|マンション|寮|一戸建て|田舎|都会|外国|海外|家|夫婦|.*(?:まで|ので|部屋|アパート|マンション|階|場所|建て)"
)
_NO_THING: Final = re.compile("それ|これ|あれ|そっち|こっち|何|こと|の|ところ|もの|.*(?:こと|の|まで|ので)|")
_NO_WORK: Final = re.compile(
    "在宅|家|自宅|リモート|夜|朝|昼|ここ|そこ|一人|[夜日]勤|休み|大変|暇|.*(?:ので|い|[市区町村県府駅])"
)
_NO_ADDRESS: Final = re.compile("[^0-9都道府県市区町村]*")
_NO_DATE: Final = re.compile("(?!.*[0-9一二三四五六七八九十](?:月|日|/)).*")
_PETS: Final = {"ネコ": "猫", "ねこ": "猫", "イヌ": "犬", "いぬ": "犬", "ウサギ": "うさぎ", "カメ": "亀"}
_DEVICES: Final = {
    "スマートフォン": "スマホ", "携帯電話": "スマホ", "携帯": "スマホ", "愛車": "車", "pc": "パソコン",
    "ノートパソコン": "パソコン", "ノートpc": "パソコン",
}  # fmt: skip


def _rule(slot: str, pattern: str, **more: Any) -> Rule:
    return Rule(slot, re.compile(f"^(?:もう)?{pattern}"), **more)


# The first that fits a clause is taken. Slots are those of English, so that both languages speak of the same.
RULES: Final = (
    # Where one lives.
    _rule("home", f"{_V}に(?:住んで|暮らして){_DOES}", denied=_NO_PLACE),
    _rule("home", f"{_V}で暮らして{_DOES}", denied=_NO_PLACE),
    _rule("home", f"{_V}在住{_IS}", denied=_NO_PLACE),
    _rule(
        "home",
        f"{_OLD}{_V}(?:に|へ)(?:引っ越し|引越し|移住し|転居し|引っ越して(?:き|来)){_DID}",
        changes=True,
        denied=_NO_PLACE,
    ),
    _rule("home", f"{_V}には?住んで{_NOT}", holds=False),
    _rule("address", f"{_MINE}住所は(?P<v>.{{4,60}}?){_IS_SURE}", denied=_NO_ADDRESS),
    # Work.
    _rule("employer", f"{_V}(?:で働いて|に勤めて|に勤務して|で勤務して){_DOES}", denied=_NO_WORK),
    _rule("employer", f"{_OLD}{_V}(?:に転職し|に入社し|で働き始め|に就職し){_DID}", changes=True, denied=_NO_WORK),
    _rule("employer", f"{_MINE}(?:勤め先|勤務先|職場|会社)は{_V}{_IS_SURE}", denied=_NO_WORK),
    _rule("employer", f"(?:会社|仕事|職場)を(?:辞め|やめ|退職し){_DID}", holds=False),
    _rule("employer", f"{_V}を(?:辞め|退職し){_DID}", holds=False),
    _rule("employer", f"{_V}(?:では|で)働いて{_NOT}", holds=False),
    _rule(
        "occupation",
        f"{_OCCUPATION}(?:に転職しました|に転職した|になりました|になった){_TAIL}",
        careful=True,
        changes=True,
    ),
    _rule("occupation", f"{_OCCUPATION}(?:です|だ|をして{_DOES}|として働いて{_DOES}){_TAIL}", careful=True),
    _rule("occupation", f"{_MINE}(?:仕事|職業)は{_V}{_IS_SURE}", careful=True),
    # Who one is.
    _rule("name", f"{_MINE}(?:名前|本名|氏名)は{_V}(?:と(?:いいます|言います|申します)|{_IS_SURE})"),
    _rule("name", f"{_V}と(?:いいます|申します){_TAIL}"),
    _rule("nickname", f"{_V}(?:って|と)呼んで(?:ください|ね|下さい)?$"),
    _rule("age", f"(?P<v>[0-9]{{1,3}})(?:歳|才){_IS}"),
    _rule("birthday", f"{_MINE}誕生日は{_V}{_IS}", denied=_NO_DATE),
    _rule("marriage", f"(?P<v>独身|既婚|未婚|バツイチ){_IS_SURE}"),
    _rule("marriage", f"(?P<v>結婚|離婚|婚約)(?:しました|した|して{_DOES}){_TAIL}", changes=True),
    _rule("partner", f"{_MINE}(?P<s>妻|夫|旦那|奥さん|彼女|彼氏|恋人|パートナー)の名前は{_V}{_IS_SURE}"),
    _rule("called", f"{_MINE}(?P<s>[^はがをにへで、。\\s]{{1,8}}?)の名前は{_V}{_IS_SURE}", careful=True),
    # What one has.
    _rule("pet", f"(?:ペットに|家で)?{_PET}を(?:[0-9一二三]匹)?飼って{_DOES}", each=True),
    _rule("pet", f"{_PET}を飼い始め{_DID}", each=True),
    _rule("pet", f"{_PET}(?:は|を)飼って{_NOT}", each=True, holds=False),
    _rule(
        "pet",
        f"{_MINE}(?:飼っていた|愛)?{_PET}(?:が|は)(?:死んだ|死にました|死んでしまった|死んでしまいました|亡くなった|亡くなりました|亡くなってしまった|逃げた|逃げました){_TAIL}",
        each=True,
        holds=False,
    ),
    _rule(
        "device",
        f"{_MINE}{_DEVICE}(?:を|は){_PRODUCT}に(?:買い替え|買い換え|変え|替え|乗り換え|機種変更し|機種変し|し){_DID}",
        changes=True,
        names=_DEVICES,
    ),
    _rule(
        "device",
        f"{_MINE}{_DEVICE}は{_PRODUCT}(?:です|だ|になりました|になった|を使って{_DOES}){_TAIL}",
        names=_DEVICES,
    ),
    _rule("device", f"{_MINE}{_DEVICE}を(?:売っ|売りまし|手放し|手放しまし)た{_TAIL}", holds=False, names=_DEVICES),
    _rule(
        "email",
        f"(?P<s>(?:仕事|会社|個人)の)?{_MINE}(?:メールアドレス|メアド|メール)(?:は|が)(?P<v>[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+){_IS}",
    ),
    _rule(
        "phone",
        f"(?P<s>(?:仕事|会社|自宅)の)?{_MINE}(?:電話番号|携帯番号|携帯の番号|電話)(?:は|が)(?P<v>\\+?[0-9()-]{{5,20}}){_IS}",
    ),
    # What one likes, does and eats.
    _rule("favourite", f"{_MINE}(?:一番|いちばん)?好きな(?P<s>[^はがをにへで、。\\s]{{1,10}})は{_V}{_IS}"),
    _rule("diet", f"{_DIET}{_IS_SURE}"),
    _rule("diet", f"{_DIET}(?:をやめ{_DID}|じゃな|ではな|をやめて)", holds=False),
    _rule(
        "allergy",
        f"(?P<v>[^はがをにへでと、。\\s]{{1,10}}?)の?アレルギー(?:は|では|じゃ)(?:ない|ありません|なくなった|なくなりました|なかった|なかったです){_TAIL}",
        each=True,
        holds=False,
    ),
    _rule(
        "allergy",
        f"(?P<v>[^はがをにへでと、。\\s]{{1,10}}?)の?アレルギーが(?:治った|治りました|なくなった|なくなりました){_TAIL}",
        each=True,
        holds=False,
    ),
    _rule(
        "allergy",
        f"(?P<v>[^はがをにへでと、。\\s]{{1,10}}?)の?アレルギー(?:です|だ|がある|があります|持ちです|持ちだ|持ち){_TAIL}",
        each=True,
    ),
    _rule("allergy", f"{_V}に(?:は)?アレルギーがあ(?:る|ります){_TAIL}", each=True),
    _rule(
        "liking",
        f"{_V}(?:は|が)(?:もう|あまり|全然)?好き(?:じゃ|では)(?:ない|なくなった|なくなりました|ありません){_TAIL}",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule(
        "liking",
        f"{_V}(?:が|は)(?:大)?嫌い(?:です|だ|になった|になりました){_TAIL}",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule("liking", f"{_V}が(?:大|一番)?好き(?:です|だ|になった|になりました)?{_TAIL}", each=True, denied=_NO_THING),
    _rule(
        "habit",
        f"(?P<old>[^はがをにへでと、。\\s]{{1,12}}?)から{_V}に(?:乗り換え|変え|替え|切り替え){_DID}",
        each=True,
        changes=True,
        denied=_NO_THING,
    ),
    _rule(
        "habit",
        f"{_V}(?:を(?:飲む|吸う|使う|習う|勉強する|食べる|する|やる)の)?を?{_QUITS}{_DID}",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule(
        "habit",
        f"{_V}(?:は|を)(?:吸って|飲んで|使って|して|やって|習って|食べて){_NOT}",
        each=True,
        holds=False,
        denied=_NO_THING,
    ),
    _rule(
        "habit",
        f"{_V}を(?:毎日|よく|週に[0-9一二三]回)?(?:吸って|飲んで|習って|勉強して|使って|続けて|読んで|練習して|やって){_DOES}",
        each=True,
        denied=_NO_THING,
    ),
    _rule("habit", f"{_V}を(?:毎日|よく)?(?:吸う|吸います){_TAIL}", each=True, denied=_NO_THING),
    # What is planned.
    _rule(
        "schedule day",
        f"{_MINE}{_EVENT}(?:の日程|の日にち|の日)?(?:は|が)(?:[^、。]{{1,12}}から)?{_DAY}{_AT}{_MOVED}{_TAIL}",
        changes=True,
    ),
    _rule(
        "schedule time",
        f"{_MINE}{_EVENT}(?:の時間)?(?:は|が)(?:[^、。]{{1,12}}から)?{_TIME}{_MOVED}{_TAIL}",
        changes=True,
    ),
    _rule(
        "schedule day",
        f"{_MINE}{_EVENT}(?:の日程|の日にち|の日)?(?:は|が){_DAY}{_AT}(?:から)?(?:です|だ|にある|にあります|の予定です|の予定だ|の予定)?{_TAIL}",
    ),
    _rule(
        "schedule time",
        f"{_MINE}{_EVENT}(?:の時間)?(?:は|が){_TIME}(?:から|に始まります|に始まる)?(?:です|だ|の予定です)?{_TAIL}",
    ),
)
