r"""Graded cases as a table: what a model wrote, the gold answer, and what grading must say.

`OPENED` is the forced opener of a mathematics benchmark: what follows it closes the box.
"""

from typing import NamedTuple

OPENED = "**Final Answer**\n\\boxed{"


class Case(NamedTuple):
    text: str
    gold: str
    outcome: str
    ended: bool = True


def boxes(gold: str, **said: str) -> list[Case]:
    r"""Cases of one gold answer: by outcome, what stands in the box, apart by " ; "."""
    return [
        Case(f"So it is \\boxed{{{one}}}.", gold, outcome)
        for outcome, several in said.items()
        for one in several.split(" ; ")
    ]


WHOLE_NUMBERS = [
    *boxes(
        "70",
        correct=r"70 ; 070 ; $70$ ; 70. ; \(70\) ; \text{70} ; \mathbf{70} ;  70  ; 70.0 ; +70 ; 70\,"
        r" ; 70^\circ ; 70\text{ degrees} ; 70\% ; \$70 ; x=70 ; 140/2 ; \frac{140}{2} ; 7\cdot 10"
        r" ; =70 ; \approx 70 ; 70, ; 70; ; 70\\ ; \large 70 ; {\bf 70} ; \color{red}{70} ; \underline{70}"
        r" ; \text{The answer is }70 ; 70 \pmod{1000} ; m+n = 70 ; (70) ; 70 = 7\cdot 10 ; 70_{10}"
        r" ; 7 \times 10 ; \sqrt{4900} ; 69+1 ; \boxed{70} ; {70} ; 70\ \text{cm}",
        wrong=r"71 ; 69 ; 7 ; 700 ; 0 ; -70 ; 170 ; 70.5 ; 70.01 ; 7.0 ; 0.70 ; \frac{70}{3} ; 70^2"
        r" ; 70, 71 ; 70 \text{ or } 71 ; \{70, 71\} ; (70, 0) ; 70x ; x+70 ; 7 0 ; \sqrt{70} ; 70!"
        r" ; 70i ; \text{seventy} ; 1/70 ; 7^0 ; 70,000 ; \pi",
        unanswered=r" ;   ; \ ",
    ),
    *boxes(
        "1000",
        correct=r"1000 ; 1,000 ; 1{,}000 ; 1\,000 ; 1 000 ; 1~000 ; 10^3 ; 1000.00 ; 1,000. ; $1,000$",
        wrong=r"1 ; 0 ; 100 ; 10000 ; 1.000 ; 1,001 ; 1,00 ; 1,0000 ; 1;000",
    ),
    *boxes("0", correct="0 ; 00 ; -0 ; 0.0 ; 5-5", wrong="1 ; -1 ; 10 ; 0.5"),
    *boxes(
        "-4", correct="-4 ; \N{MINUS SIGN}4 ; - 4 ; -4.0 ; -\\frac{8}{2}", wrong="4 ; -40 ; 1/4"
    ),
    *boxes(
        "2^{100}",
        correct=f"2^{{100}} ; {2**100} ; 4^{{50}}",
        wrong=f"{2**100 + 1} ; 2^{{99}} ; 100^2",
    ),
]

FRACTIONS = [
    *boxes(
        r"\frac{3}{4}",
        correct=r"\frac{3}{4} ; \dfrac{3}{4} ; \tfrac34 ; \frac34 ; 3/4 ; 0.75 ; .75 ; \frac{6}{8} ; 6/8"
        r" ; \frac{-3}{-4} ; 3 / 4 ; $\frac{3}{4}$ ; 1-\frac14 ; 0.750",
        wrong=r"\frac{4}{3} ; -\frac{3}{4} ; \frac{3}{5} ; 0.74 ; 0.8 ; 34 ; 3,4 ; 3 ; \frac{3}{0}",
    ),
    *boxes(
        r"-\frac{1}{3}",
        correct=r"-\frac{1}{3} ; \frac{-1}{3} ; -1/3 ; -\frac13 ; -\frac{2}{6} ; \frac{1}{-3} ; -0.333333",
        wrong=r"\frac{1}{3} ; -0.3 ; -0.33 ; -3 ; \frac{1}{3}i",
    ),
    *boxes(
        "1.5", correct=r"1.5 ; \frac{3}{2} ; 3/2 ; 1\frac{1}{2} ; 1.50", wrong="15 ; 1,5 ; 1.05 ; 2"
    ),
]

EXPRESSIONS = [
    *boxes(
        r"\frac{\sqrt{2}}{2}",
        correct=r"\frac{\sqrt{2}}{2} ; \frac{1}{\sqrt{2}} ; \sqrt{2}/2 ; \sqrt{\frac12} ; 2^{-1/2}",
        wrong=r"\sqrt{2} ; \frac{\sqrt{3}}{2} ; 0.7 ; -\frac{\sqrt{2}}{2}",
    ),
    *boxes(
        r"12\pi",
        correct=r"12\pi ; 12 \pi ; \pi \cdot 12 ; 12\pi\text{ cm}",
        wrong=r"12 ; \pi ; 37.7",
    ),
    *boxes(
        "x^2+2x+1",
        correct=r"x^2+2x+1 ; (x+1)^2 ; 1+2x+x^2 ; x^{2} + 2 x + 1",
        wrong=r"x^2+2x ; x^2-2x+1 ; (y+1)^2 ; 4",
    ),
    *boxes("y=2x+1", correct="y=2x+1 ; y = 1+2x ; 2x+1", wrong="y=2x ; y=x+1"),
    *boxes("5", correct="x=5 ; n = 5 ; 5", wrong="x=6 ; x>5 ; x \\ne 5"),
    *boxes("3+4i", correct="3+4i ; 4i+3", wrong="3-4i ; 5 ; 4+3i"),
    *boxes(
        r"\log_2 3",
        correct=r"\log_2 3 ; \log_{2}{3} ; \frac{\ln 3}{\ln 2}",
        wrong=r"\log_3 2 ; 1.58",
    ),
]

COLLECTIONS = [
    *boxes(
        r"\{1,2,3\}",
        correct=r"\{1,2,3\} ; \{3, 2, 1\} ; 1,2,3 ; \{1, 2, \frac{6}{2}\}",
        wrong=r"\{1,2\} ; \{1,2,3,4\} ; \{1,2,4\} ; 123",
    ),
    *boxes(
        "(1,2)",
        correct=r"(1,2) ; (1, 2) ; \left(1,2\right) ; (1,\frac42)",
        wrong="(2,1) ; [1,2] ; (1,3)",
    ),
    *boxes(
        "(1,200)",
        correct=r"(1,200) ; (1, 200) ; \left(1,200\right)",
        wrong="1200 ; 1,200 ; (1200) ; 1",
    ),
    *boxes(
        r"\{100,200,300\}",
        correct=r"\{100,200,300\} ; \{300, 200, 100\} ; 100, 200, 300",
        wrong=r"100200300 ; \{100,200\}",
    ),
    *boxes(
        r"\{1,2\}",
        correct=r"$1$ and $2$ ; \(1\) and \(2\) ; 1 \text{ and } 2 ; $1$, $2$",
        wrong="$1$ ; 12",
    ),
    *boxes("(3,-1,2)", correct="(3,-1,2) ; (3, -1, 2)", wrong="(3,1,2) ; (2,-1,3) ; (3,-1)"),
    *boxes(
        r"\left(3,\frac{\pi}{2}\right)", correct=r"(3,\frac{\pi}{2}) ; (3, \pi/2)", wrong=r"(3,\pi)"
    ),
    *boxes(
        r"[0,\infty)",
        correct=r"[0,\infty) ; [0, \infty) ; x \ge 0",
        wrong=r"(0,\infty) ; (-\infty,0]",
    ),
    *boxes(
        r"(-\infty,2]\cup[3,4)",
        correct=r"(-\infty,2]\cup[3,4) ; [3,4) \cup (-\infty,2]",
        wrong=r"(-\infty,2)\cup[3,4) ; (-\infty,4) ; (-\infty,2]",
    ),
    *boxes(
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        correct=r"\begin{pmatrix}1&2\\3&4\end{pmatrix} ; \begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}",
        wrong=r"\begin{pmatrix}1&3\\2&4\end{pmatrix} ; 10",
    ),
]

UNITS = [
    *boxes(
        "5",
        correct=r"5\text{ cm} ; 5 \text{ cm}^2 ; 5\mathrm{km} ; 5 \text{ units}",
        wrong=r"50\text{ mm}",
    ),
    *boxes("90", correct=r"90^\circ ; 90^{\circ} ; 90 \text{ degrees}", wrong=r"9^\circ ; 90^2"),
    *boxes("1234.5", correct=r"\$1234.50 ; \$1,234.50 ; 1{,}234.5", wrong=r"\$1234 ; 12345"),
    *boxes("50", correct=r"50\% ; 50 \%", wrong=r"5\% ; 0.5\%"),
]

TEXTS = [
    *boxes(r"\text{Evelyn}", correct=r"\text{Evelyn} ; Evelyn ; evelyn ; \textbf{Evelyn} ; \text{ Evelyn }",
           wrong=r"\text{Evelin} ; nylevE ; \text{Briana} ; E"),
    *boxes("Evelyn", correct=r"Evelyn ; \text{Evelyn}", wrong="nylevE ; Carla"),
    *boxes(r"\text{no solution}", correct=r"\text{no solution} ; \text{No solution.} ; no solution",
           wrong=r"\text{one solution} ; 0"),
    *boxes(r"\text{(B)}", correct=r"\text{(B)} ; B ; (B) ; \text{B}", wrong="C ; (A)"),
]  # fmt: skip

PROSE = [
    Case("70", "70", "correct"),
    Case("070", "70", "correct"),
    Case("$70$", "70", "correct"),
    Case("70.", "70", "correct"),
    Case(r"\(70\)", "70", "correct"),
    Case(r"\[ 70 \]", "70", "correct"),
    Case("**70**", "70", "correct"),
    Case("\n\n70\n", "70", "correct"),
    Case("The answer is 70", "70", "correct"),
    Case("The answer is 70.", "70", "correct"),
    Case("The answer is $70$.", "70", "correct"),
    Case("The final answer is: 70", "70", "correct"),
    Case("**Answer:** 70", "70", "correct"),
    Case("1,000", "1000", "correct"),
    Case("1 000", "1000", "correct"),
    Case("The answer is 1,000", "1000", "correct"),
    Case("The answer is 71", "70", "wrong"),
    Case("It is not 70 but 71", "70", "wrong"),
    Case("70 is too small, so the answer is 71", "70", "wrong"),
    Case("The answer is -70", "70", "wrong"),
    Case("The answer is 70.5", "70", "wrong"),
    Case("The answer is $\\frac{3}{4}$", "0.75", "correct"),
    Case("The answer is Evelyn.", "Evelyn", "correct"),
    Case("The answer is Briana.", "Evelyn", "wrong"),
    Case("", "70", "unanswered"),
    Case("  \n", "70", "unanswered"),
    Case("I could not find it.", "70", "unanswered"),
    Case("Hmm", "70", "unanswered"),
]

BOXES = [
    Case(OPENED + "70}", "70", "correct"),
    Case(OPENED + "70}\n\nThat is all.", "70", "correct"),
    Case(OPENED + "71}", "70", "wrong"),
    Case(OPENED + "\\frac{3}{4}}", "0.75", "correct"),
    Case(OPENED + "}", "70", "unanswered"),
    Case(OPENED + "\n", "70", "unanswered"),
    Case(OPENED, "70", "unanswered"),
    Case(OPENED, "70", "cut_off", ended=False),
    Case(OPENED + "7", "70", "cut_off", ended=False),
    Case(OPENED + "70", "70", "cut_off", ended=False),
    Case(OPENED + "\\frac{3}{4", "0.75", "cut_off", ended=False),
    Case(OPENED + "70", "70", "correct"),  # the text's end closes the box
    Case(OPENED + "70\n\nLet me explain.", "70", "correct"),
    Case(OPENED + "71", "70", "wrong"),
    Case(OPENED + "70} because of", "70", "correct", ended=False),
    Case(OPENED + "71} because of", "70", "wrong", ended=False),
    Case(OPENED + "70}, or rather \\boxed{7", "70", "cut_off", ended=False),
    Case(OPENED + "\\boxed{70}", "70", "correct"),
    Case(OPENED + "\n\\boxed{70}\n}", "70", "correct"),
    Case(r"\boxed{1} and \boxed{70}", "70", "correct"),
    Case(r"\boxed{70} and \boxed{1}", "70", "wrong"),
    Case(r"\boxed{1}, no: \boxed{2}, no: \boxed{70}", "70", "correct"),
    Case(r"\boxed{70} then \boxed{}", "70", "correct"),
    Case(r"\boxed{70} then \boxed{1", "70", "correct"),
    Case(r"It is not \boxed{70}. It is 71.", "70", "correct"),  # a box says it, prose does not
    Case(r"\fbox{70}", "70", "correct"),
    Case(r"\boxed {70}", "70", "correct"),
    Case(r"\boxed{\boxed{70}}", "70", "correct"),
    Case("The answer is 70", "70", "cut_off", ended=False),
    Case("", "70", "cut_off", ended=False),
    Case("So we get", "70", "cut_off", ended=False),
]

MATHEMATICS = [
    *WHOLE_NUMBERS,
    *FRACTIONS,
    *EXPRESSIONS,
    *COLLECTIONS,
    *UNITS,
    *TEXTS,
    *PROSE,
    *BOXES,
]

CHOICE = [
    *boxes("B", correct=r"B ; b ; (B) ; \text{B} ; \textbf{(B)} ; B. ; B) 5 cm ; $B$ ; \text{Option B}",
           wrong=r"A ; C ; (D) ; \text{C} ; A) 5 cm", unanswered=r" ; 5 cm ; Both ; A cat"),
    Case("B", "B", "correct"),
    Case("(B)", "B", "correct"),
    Case("**B**", "B", "correct"),
    Case("b", "B", "correct"),
    Case("B.", "B", "correct"),
    Case("B) because it is so", "B", "correct"),
    Case("Answer: B", "B", "correct"),
    Case("Answer: (B)", "B", "correct"),
    Case("**Answer:** B", "B", "correct"),
    Case("The answer is B", "B", "correct"),
    Case("The answer is **B**", "B", "correct"),
    Case("The answer is (B).", "B", "correct"),
    Case("The correct answer is B because A is false.", "B", "correct"),
    Case("The correct option is B.", "B", "correct"),
    Case("The answer is option B", "B", "correct"),
    Case("The answer is $\\boxed{B}$", "B", "correct"),
    Case("the answer is b.", "B", "correct"),
    Case("I choose (B), not the first.", "B", "correct"),
    Case("First I thought the answer is A.\nNo: the answer is B.", "B", "correct"),
    Case("A) is false, C) is false.\n\nThe answer is B", "B", "correct"),
    Case("\\boxed{A} or rather \\boxed{B}", "B", "correct"),
    Case("The answer is B and C is false", "B", "correct"),
    Case("The answer is A.", "A", "correct"),
    Case("The answer is A", "A", "correct"),
    Case("The answer is C", "B", "wrong"),
    Case("The answer is a function of time", "A", "unanswered"),
    Case("The answer is A function of time", "A", "unanswered"),
    Case("A cat sat on the mat", "A", "unanswered"),
    Case("I do not know.", "A", "unanswered"),
    Case("A", "A", "correct"),
    Case("Vitamin C helps, as does plan B", "C", "unanswered"),
    Case("ABBA", "A", "unanswered"),
    Case("The answer isn't known", "A", "unanswered"),
    Case("", "A", "unanswered"),
    Case("", "A", "cut_off", ended=False),
    Case("The answer is B", "B", "cut_off", ended=False),
    Case("\\boxed{B} because", "B", "correct", ended=False),
    Case("\\boxed{B", "B", "cut_off", ended=False),
    Case("\\boxed{B", "B", "correct"),
]  # fmt: skip
