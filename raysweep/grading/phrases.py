r"""How a text says which letter it chooses, in the languages in which models answer.

A phrase is made of words of a few kinds, each a list over all languages: what is stated ("answer"), what
links it to the letter ("is", ":"), what names a choice ("option"), what finds it right ("correct"). So a
language costs its words and no pattern. Each pattern has one group: the letter, or several that are named in
a row. `raysweep.grading.choice` tells which pattern counts more.
"""

import re

# ruff: noqa: RUF001 - letters of other scripts are meant
UNSPACED = "\u0e00"  # from here on, scripts write words without a space between them


def spellings(words: str) -> tuple[str, str]:
    """The words in small letters, as titles and in capitals; those between spaces, and the others.

    A pattern that minds case lets `re` skip to the first letters that matter. `_` is a space.
    """
    spelled = {w for word in words.split() for w in (word, word.capitalize(), word.upper())}
    ordered = sorted(spelled, key=lambda word: (-len(word), word))
    spaced = (word.replace("_", r"\s+") for word in ordered if word[0] < UNSPACED)
    return "|".join(spaced), "|".join(word for word in ordered if word[0] >= UNSPACED)


def words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def any_of(words: str) -> str:
    """A pattern for each of the words as a word of its own."""
    spaced, joined = spellings(words)
    return rf"(?:(?<!\w)(?:{spaced})(?!\w)|{joined})" if joined else rf"(?<!\w)(?:{spaced})(?!\w)"


ANSWERS = (
    "answer antwort lösung réponse respuesta resposta gabarito risposta ответ відповідь antwoord svar "
    "svaret odpowiedź odpověď cevap yanıt jawaban răspuns răspunsul vastaus válasz απάντηση đáp_án "
    "الإجابة الجواب उत्तर উত্তর 答案 答 答え 解答 回答 正解 正答 正确的是 정답 답 คำตอบ"
)
OPTIONS = (
    "option choice correct_one right_one best_one letter statement alternative response selection "
    "antwort möglichkeit aussage buchstabe réponse proposition lettre opción alternativa letra opção "
    "opzione lettera вариант варіант буква pilihan optie lựa_chọn answer respuesta resposta risposta "
    "ответ 选项 選項 选择 選擇 選択肢 보기 선택지"
)
ANSWER, OPTION = any_of(ANSWERS), any_of(OPTIONS)
ARTICLE = r"(?:(?:the|The|die|der|la|La|le|el|il|a|o|as)\s+|[Ll]')?"
IS = any_of(
    "is was must_be has_to_be will_be ist lautet wäre est es sería é è является adalah är là on "
    "هي هو है হল είναι 是 为 為 应为 应该是 應為 应是 は 은 는 คือ"
)
LINK = rf"(?:[:=>]|{IS}|->|(?<=\s)-(?=\s))"
QUALIFIER = r"(?=\w\w)" + any_of(
    "correct right final therefore thus then hence clearly likely most_likely probably simply just "
    "definitely indeed still either richtige korrekte also die der somit daher la el il correcta "
    "correcte correta corretta giusta bonne donc entonces portanto quindi верный правильный "
    "yang_benar đúng doğru الصحيحة الصحيح सही 应该 應該"
)
RIGHT = any_of(
    "correct right true best answer right_one best_one correct_one correct_answer right_answer "
    "best_answer most_appropriate most_accurate most_suitable correct_choice correct_option "
    "best_choice best_option right_choice right_option richtig korrekt richtige_antwort bonne_réponse "
    "correcte juste exacte correcta respuesta_correcta correta certa corretta giusta верный верно "
    "правильный правильно верен правильная juist poprawna benar đúng 正确 正確 正しい 正解 对 對 答案 "
    "正确答案 맞습니다 정답 옳다"
)
FOUND_TO_BE = any_of("is are must_be has_to_be ist est es é è 是 が は 项 項 이 가")
FOUND = rf"(?:\s*{FOUND_TO_BE}|\s*-|(?=\s*正|\s+вер|\s+прав))"
CHOOSE = any_of(
    "choose select pick go_with going_with opt_for choosing chose picked selected vote_for wähle "
    "choisis elijo escolho scelgo выбираю 选 選 选择 選擇"
)
HENCE = any_of(
    "so thus hence therefore it's it_is consequently namely also daher somit donc entonces luego "
    "portanto quindi следовательно значит итак 所以 因此 故 よって したがって 따라서"
)
POINTS = any_of("this_is that_is which_is it_is matches match corresponds_to points_to closest_to")
AND = r"(?:[,/&+]|(?<=[\s)])(?:and|or|und|oder|et|ou|y|o|e|и|или)(?=\s)|[和或与])"
# A capital A may be an article and any letter the first word of a name, so no noun may follow the letter.
AFTER = any_of("because since as but which rather_than instead_of weil da car porque perché")
VERBS = any_of("is are does has would can cannot must should was were")

WORD_END = r"(?![^\W\u0e00-\uffff])"  # no letter of a script with spaces follows
SPECIES = (
    "(?:albicans|anthracis|aureus|botulinum|burgdorferi|cereus|coli|difficile|discoideum|elegans|faecalis|"
    "influenzae|melanogaster|perfringens|pylori|rerio|subtilis|tetani|trachomatis)"
)
# Each is looked for where two letters stand: at a lone one, trying all the words would be in vain.
NAMED = rf"(?:{ARTICLE}(?=\w\w){OPTION}[\s:]{{0,9}})?"
OPEN = r"[\s'(\[]{0,9}+"  # bounded, as all that may repeat here, so that no text takes long
CLOSED = r"\s*[)\]']+(?![-=/^_\w]|\s*=)"
END = (
    rf"(?=\s*(?:$|\n|</)|{CLOSED}|\s*[;:!](?![\w=])|\s*:\s*\w|\s*,(?!\s*[A-Z]\s*(?:,|and\b|or\b))"
    rf"|\.(?![a-z]|\s*{SPECIES})|\s+-\s+(?![A-H]\b)|\s+\(|\s+{AFTER}(?!-)|\s+not\s+{NAMED}\(?[A-H]\b"
    rf"|\s+and\s+[A-H]\s+{VERBS}|\s*(?:项|項|です|だ|である|が|입니다|이다|이|가|번|因为))"
)
# A small letter is a variable in most prose: its line ends there, or a bracket or a reason follows.
SMALL_END = rf"(?=\s*[)\]]|[.;:!,]?\s*(?:$|\n|</)|[.,;]?\s+{AFTER})"
SEVERAL = (
    rf"(?:\s?[)\]]?\s?{AND}(?:\s(?:and|or)(?=\s))?{OPEN}(?:{OPTION}\s)?[(\[]?[A-H](?!\w)){{0,7}}"
)
LETTERS = rf"{OPEN}{NAMED}{OPEN}([A-H]{SEVERAL}{END}|[a-h]{SMALL_END})"
NOT_BUT = r"(?:not\s+\(?[A-H]\)?,?\s+but\s+(?:rather\s+)?)?"

# Looked for in two steps: a scan of the text in small letters for the word that opens a statement, then one
# match from there.
# The pattern has no group, because `re` would not skip to its first letters then.
OPENING = re.compile(
    "|".join(sorted(words(f"{ANSWERS} {OPTIONS}"), reverse=True)).replace("_", r"\s+")
)
ANSWER_WORDS = words(ANSWERS)
STATED = re.compile(
    rf"(?:(?:\s+(?:to|for|among|of|from|in|here)\b[^.:\n]{{0,60}}?)?(?:[\s,]{{0,9}}+{QUALIFIER}){{0,4}}+[\s,)\]]{{0,9}}+"
    rf"(?:{LINK}[\s,]{{0,9}}+(?:{QUALIFIER}[\s,]{{0,9}}+){{0,4}}+){{1,4}}+{NOT_BUT}"
    rf"|\s*\n[\s#>-]*|\s*(?=[(\[]|[A-H]\W*(?:$|\n))){LETTERS}"
)
CONDITIONAL = re.compile(
    rf"(?:{ANSWER}|{OPTION})\s+(?:would|should|could|might|may)\s+be:?\s*{LETTERS}"
)
CHOSEN = re.compile(rf"(?:{CHOOSE}\s*:?|{POINTS}(?=\s+{ARTICLE}(?:{OPTION}|\()))\s*{LETTERS}")
FOUND_RIGHT = re.compile(
    rf"(?:^|(?<=[.,;:!(\n])|{HENCE}|{OPTION}|\b(?:that|only|Only|and|but|believe|think)\b)[\s,:*-]{{0,9}}"
    rf"(?:[Bb]oth\s+)?{NAMED}{OPEN}([A-H]{WORD_END}{SEVERAL})[)\]']*{FOUND}\s*(?:(?:{QUALIFIER}|the|la|die|das|a|only)\s+)*{RIGHT}"
)
CONCLUDED = re.compile(
    rf"{HENCE}[\s,:]{{0,9}}(?:it's|it is|we have|we get)?\s*{OPEN}{NAMED}{OPEN}"
    r"([A-H])(?=[)\]']*\s*(?:\.(?!\w)|[!,;]|$|\n|\(|-\s))"
)
# A phrase is denied, a condition or what others say if one of these words stands in front of it, with
# nothing but words of the second kind in between.
DENYING = words(
    "not never nor neither if whether unless suppose supposing assume assuming although though while why "
    "wrong incorrect false other another might may could falsche nicht wenn ne no si не если"
)
BETWEEN = words(
    "that think believe say claim choose pick because the a only correct right best true sure la die "
    "option answer"
)
DENYING_END = ("n't", "不", "非", "不是", "如果", "假设")
