"""Texts without a whole box: what they state as their answer, whatever other numbers follow it."""

from support.graded_answers import OPENED, Case

STATED: dict[str, dict[str, list[str]]] = {
    "70": {
        "correct": [
            OPENED + "70",
            OPENED + "The answer is 70",
            OPENED + "The answer is $70$.",
            OPENED + "70 degrees.",
            OPENED + "Answer: 70.\n\nExplanation: 3 + 4 = 7",
            OPENED + "70$$\n\nThis follows from 2+3=5.",
            OPENED + "x = 70\\]",
            OPENED + "70 \\text{ cm}",
            OPENED + "The final answer is 70. This is because 35*2 = 70.",
            OPENED + "70. Let me check: 35*2=70",
            OPENED + "So the answer is **70**",
            OPENED + "\\text{70}",
            OPENED + "There are 70 ways",
            OPENED + "70\n}",
            OPENED + "70\nThe end",
            OPENED + "m + n = 33 + 37 = 70",
            "The answer is 70, since 2 * 35 = 70 and 35 is odd.",
            "The answer is **70**. Check: 437 + 2*234 = 905.",
            "**70**\n\nCheck: 437 + 2*234 = 905.",
            "So the total is **70**.\n\n(Here 35 was counted 2 times.)",
            "#### 70",
            "We have 3 + 4 = 7.\n#### 70",
            "Final answer: 70",
            "Final Answer: **70**",
            "**Final Answer**: 70",
            "**Final Answer:**\n70",
            "**Final Answer**\n\n70",
            "**Answer: 70**",
            "**The answer is 70.**",
            "The answer is $\\boxed70$",
            "The answer is $70$, which is $2\\cdot 35$.",
            "Therefore $x = 70$.",
            "The answer is 70 km.",
            "The answer is 70 because 35 + 35 = 70.",
            "The answer is: $70$",
            "The final answer is $70$. I hope it is correct.",
            "The correct answer is 70.",
            "Answer: 70",
            "answer = 70",
            "ANSWER: 70",
            "The answer is therefore 70.",
            "The answer to the problem is 70.",
            "The answer to this question is 70, as 7*10=70.",
            "$$x = 70$$",
            "\\[ x = 70 \\]",
            "So there are 70 ways in total.",
            "**x = 70**",
            "The answer is 70 (as 7*10 = 70).",
            "The answer is:\n\n$$70$$",
            "The answer is:\n\n70",
        ],
        "wrong": [
            OPENED + "71",
            OPENED + "The answer is 71",
            OPENED + "71, not 70",
            OPENED + "71 because it is not 70",
            "The answer is 71. It is not 70.",
            "**71** and not 70",
            "The answer is not 70 but 71.",
            "#### 71",
            "The answer is 71, since 70 + 1 = 71.",
            "**Step 1:** 70\n**Step 2:** 70\n\nThe answer is 71.",
            "The intermediate value is **70**.\n\nTherefore the total is 71.",
        ],
    },
    r"\frac{3}{4}": {
        "correct": [
            "The answer is 3/4.",
            "The answer is $\\frac{3}{4}$.",
            "The answer is $\\frac34$, i.e. 75 percent.",
            "The probability is **3/4**.",
            "The probability is $\\frac{3}{4}$.",
            "Answer: 0.75",
            OPENED + "3/4",
            OPENED + "\\frac{3}{4}",
            OPENED + "\\frac34 \\approx 0.75",
            OPENED + "The answer is \\frac{3}{4}",
            OPENED + "The answer is $\\frac{3}{4}$",
        ],
        "wrong": [
            "The answer is 3/5.",
            "The answer is 34.",
        ],
    },
    "x^2+1": {
        "correct": [
            "The answer is $x^2+1$.",
            "**$x^2 + 1$**",
            "The answer is $1+x^2$, where $x>0$.",
        ],
        "wrong": [
            "The answer is $x^2$.",
        ],
    },
    "(1,2)": {
        "correct": [
            "The answer is (1,2).",
            "The answer is $(1, 2)$.",
            "The answer is (1, 2), since 1+2=3.",
        ],
        "wrong": [
            "The answer is (2,1).",
        ],
    },
    "1234": {
        "correct": [
            "The answer is 1,234.",
            "The answer is 1,234, as expected.",
            "**1,234**",
        ],
    },
    "Evelyn": {
        "correct": [
            "The answer is Evelyn.",
            "The answer is **Evelyn**, who ran 3 miles.",
            "**Evelyn**",
        ],
        "wrong": [
            "The answer is Carla.",
        ],
    },
    "-5": {
        "correct": [
            "The answer is -5.",
            "The answer is −5",
            "**−5**",
            "Answer: $-5$",
        ],
        "wrong": [
            "The answer is 5.",
        ],
    },
    "0.5": {
        "correct": [
            "The answer is 0.5.",
            "The answer is 0.5. Check: 0.5*2=1.",
            "The answer is .5",
        ],
    },
    "3": {
        "correct": [
            "Thus the minimum is $\\boxed{3}$ at x=1.",
        ],
    },
}
STATEMENTS = [
    Case(text, gold, outcome)
    for gold, outcomes in STATED.items()
    for outcome, texts in outcomes.items()
    for text in texts
]
