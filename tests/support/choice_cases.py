r"""What models write where they choose a letter: by kind, the texts, and the letter they settle on.

The choice is D in STATED and nothing in NO_CHOICE. DISPUTED names other letters besides, with its answer.
"""

# ruff: noqa: RUF001 - letters of other scripts are meant
STATED = {
    "a dressed letter in a box": [
        rf"So it is $\boxed{{{box}}}$."
        for box in (
            r"\text{(D)}", r"\textbf{(D)}", r"\mathbf{D}", r"{\text{D}}", r"\,D", r"\ D", r"\(D\)", "[D]",
            r"\texttt{D}", r"\displaystyle D", r"\color{red}{D}", r"\textcolor{red}{D}", r"\boxed{D}",
            "**D**", "`D`", '"D"', "“D”", "‘D’", "d", r"\text{d}", "D。", "Ｄ",
        )
    ],
    "a letter and its text in a box": [
        rf"So it is $\boxed{{{box}}}$."
        for box in (
            "D: 5 cm", "D - 5 cm", r"\text{D — 5 cm}", r"D \text{ (5 cm)}", r"D\quad 5", r"D \; 5\ \text{cm}",
            "D, 5 cm", r"D\text{. }5", r"D\text{)}", r"\textbf{D) }5", r"\text{5 cm (D)}",
        )
    ],
    "a phrase in a box": [
        rf"So it is $\boxed{{{box}}}$."
        for box in (
            r"\text{Answer: D}", r"\text{The answer is D}", r"\text{choice D}", r"\text{Option (D)}",
            r"\text{选 D}",
        )
    ],
    "what follows a forced opener": [
        "D", " D", " D.", "D}", " D. Option B is wrong.", "D}.\n\nB is too small.",
        " (D) because the mass is conserved.", "\n\\boxed{D because it is so", "\n\\boxed{\\text{D",
        "\n\\boxed{The correct answer is (D).",
    ],
    "a box without a letter": [
        "So $\\boxed{E = mc^2}$.\n\nAnswer: D", "$\\boxed{\\Delta E}$, so the answer is D.",
        "\\boxed{D}, which is \\boxed{5\\text{ cm}}",
    ],
    "a line": [
        "**D**", "D,", "- D", '"D"', "[D]", "(D) 5 cm", "D) 5 cm", "D — 5 cm", "D - 5 cm", "**D: 5 cm**",
        "Option D", "Option D: 5 cm", "D\n\nA is wrong because it is too small.",
    ],
    "an answer line": [
        "Answer: (D)", "**Answer**: **D**", "**Answer:** D", "Answer — D", "ANSWER: D", "## Answer: D",
        "Answer:\nD. 5 cm", "### Answer\nD", "Answer D", "Answer: Option D", "Answer: D (5 cm)",
        "Answer: d) 5 cm", "Final Answer\n\n**D. 5 cm**", "<answer>D</answer>", "<answer>\n(D)\n</answer>",
        '{"answer": "D"}', "Answer: $\\mathrm{D}$", "\\[ \\text{Answer: } D \\]",
    ],
    "a sentence": [
        "The answer is: D", "The answer is (D) 5 cm.", "The correct answer is **D. 5 cm**",
        "The correct answer is **D** 5 cm", "The answer is letter D.", "The answer is therefore D.",
        "The correct answer to the question is D.", "The answer would be D.", "The best choice would be D",
        "The most likely answer is D: 5 cm", "So the correct one is D", "The letter is D.",
    ],
    "a verdict": [
        "D is correct.", "Option (D) is correct.", "Hence D is the correct answer.", "Only D is correct.",
        "D is the most appropriate choice.", "Statement D is true.",
    ],
    "a choice": [
        "I choose D", "I would go with D.", "I choose D because A is wrong.", "It's D.", "So, D.",
        "Hence (D).", "Therefore, option D.", "This matches option D.",
    ],
    "another language": [
        "Antwort: D", "Die richtige Antwort ist D.", "Die Antwort lautet (D).", "Antwort D ist richtig.",
        "Réponse : D", "La bonne réponse est la réponse D.", "La réponse correcte est l'option D.",
        "La respuesta correcta es la opción D.", "La opción correcta es la D", "La opción D es correcta.",
        "A resposta correta é a letra D.", "La risposta corretta è D.", "Ответ: D", "Правильный ответ — D.",
        "Вариант D верный", "答案是D", "故选：D。", "因此，答案是 **D**。", "答案：（D）", "正确选项为D",
        "因此选择D项。", "选项D是正确的", "正解はDです。", "答え：D", "Dが正解です。", "정답은 D입니다.",
        "Đáp án đúng là D", "الإجابة الصحيحة هي D", "Het juiste antwoord is D.",
    ],
}  # fmt: skip

DISPUTED = [
    ("The answer is D. Option B is wrong.", "D"),
    ("The answer is D, not option B.", "D"),
    ("The answer is not B but D.", "D"),
    ("The answer isn't B; it's D.", "D"),
    ("The answer is B? No, the answer is C.", "C"),
    ("Answer: D\n\nThe choice C would need more energy.", "D"),
    ("Answer: D\n\nWithout the mass, the answer would be C.", "D"),
    ("Answer: B\n\nWait, this is wrong. The correct answer is D.", "D"),
    ("If the answer is A, the mass is negative. So the answer is B.", "B"),
    ("The answer is B. If the mass were negative, one might say the answer is A.", "B"),
    ("D is wrong. C is correct.", "C"),
    ("Option B is incorrect. Therefore, the correct option is **C**", "C"),
    ("Although option B is true, option D is correct.", "D"),
    ("Option D is right. Options A, B, and C are wrong.", "D"),
    ("I was between options B and D, but the answer is D.", "D"),
    ("Among A, B and C, the best option is C.", "C"),
    ("不选B，选D", "D"),
    ("$\\boxed{D}$\n\nOption A is wrong: the answer is not A.", "D"),
    ("**Final Answer**\n$\\boxed{D}$ (not C).", "D"),
    ("A. no\nB. yes, this one\nC. no\nD. no", "B"),
    ("**B**\n\nAnalysis of each option:\nA. no\nB. yes\nC. no\nD. no", "B"),
    ("A. 5 cm\nB. 6 cm\nC. 7 cm\nD. 8 cm\n\nB", "B"),
    ("A. 5 cm\nB. 6 cm\nC. 7 cm\nD. 8 cm\n\nB. 6 cm", "B"),
    ("D. 5 cm\n\nA. is small\nB. is large", "D"),
    ("Correct Answer: **D**\n\n**A**: wrong\n**B**: wrong", "D"),
]

NO_CHOICE = {
    "a word in a box": [
        rf"\boxed{{{box}}}"
        for box in (
            "AD", r"\text{Dog}", r"\Delta E", "D_1", "B^+", "C_6H_{12}", r"B \text{ cells}", "A+B", "D/2",
            "2D", r"\frac{D}{2}", "E=mc^2", "F = ma", "A cat",
        )
    ],
    "a word behind a phrase": [
        "The answer is B cells", "The answer is D-glucose.", "The answer is D glucose", "The answer is D2O",
        "The answer is C-H activation", "The answer is C–H activation", "The answer is C=O stretching",
        "The answer is A/B testing", "The answer is E. coli", "The answer is C, H and O", "答案是B细胞",
    ],
    "a letter of the prose": [
        "A. Smith showed that it is so.", "D. H. Lawrence wrote it", "C. elegans is a worm",
        "It depends on vitamin C.", "B cells are the answer", "Vitamin D is the right one",
        "A cat is the answer",
    ],
    "several letters": [
        "Answer: B and D", "Answer: A, C", "The answer is either B or D.", "Both B and D are correct.",
        r"\boxed{A \text{ or } B}", r"\boxed{B, D}", "The answer is B or C, but I am not sure.",
    ],
    "a denial": [
        "The answer is not D.", "The answer cannot be B.", "I would not choose B.", "Is the answer B? No.",
        "The incorrect option is B", "The wrong answer is B", "B. no", "选项B是错误的",
        "I don't think that D is correct.",
    ],
    "options without an answer": ["A. 5 cm\nB. 6 cm\nC. 7 cm\nD. 8 cm"],
}  # fmt: skip
