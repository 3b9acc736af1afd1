r"""Gold answers in the forms of MATH500, of our own, each with usual spellings and near misses.

The forms are fractions, surds, intervals, tuples, matrices, words, units, degrees, equations, expressions.
"""

from support.graded_answers import boxes

GOLDS = [
    *boxes(
        r"\left( 3, \frac{\pi}{2} \right)",
        correct=r"(3,\pi/2) ; (3, \frac{\pi}{2})"
        r" ; (r,\theta) = \left(3, \frac{\pi}{2}\right)",
        wrong=r"(3,\pi) ; (\frac{\pi}{2},3)",
    ),
    *boxes("p - q", correct="p-q ; -q+p", wrong="q-p"),
    *boxes(r"\frac{14}{3}", correct=r"14/3 ; 4\frac{2}{3} ; 4.\overline{6}", wrong="4.67"),
    *boxes("9", correct="9"),
    *boxes(r"3\sqrt{13}", correct=r"\sqrt{117}", wrong=r"13\sqrt{3}"),
    *boxes(
        r"\frac{270}{7}\text{ degrees}",
        correct=r"\frac{270}{7} ; \frac{270}{7}^\circ ; 38\frac{4}{7}"
        r" ; \left(\frac{270}{7}\right)^\circ",
        wrong="270",
    ),
    *boxes(".0000672", correct="0.0000672"),
    *boxes(
        r"\text{ellipse}",
        correct=r"ellipse ; an ellipse ; \text{an ellipse}",
        wrong=r"circle ; \text{parabola}",
    ),
    *boxes(
        "1,-2",
        correct=r"-2,1 ; 1 \text{ and } -2 ; x=1, x=-2 ; x=1\text{ or }x=-2 ; \{-2,1\}",
        wrong="1,2 ; -2",
    ),
    *boxes("(3,4]", correct=r"3<x\le4", wrong="(3,4)"),
    *boxes(
        r"\left(-\infty, -\frac{1}{2}\right) \cup \left(-\frac{1}{2}, \infty\right)",
        correct=r"(-\infty,-0.5)\cup(-0.5,\infty) ; x \ne -\frac12"
        r" ; \mathbb{R}\setminus\{-\frac12\}"
        r" ; \mathbb{R} \setminus \left\{-\frac{1}{2}\right\}",
        wrong=r"x \ne \frac12",
    ),
    *boxes("x^3 + 3x - 6", correct="3x+x^3-6 ; x^3+3x-6 ; f(x)=x^3+3x-6", wrong="x^3-3x-6"),
    *boxes("6r^2-4r-24", correct="2(3r^2-2r-12)", wrong="6r^2+4r-24"),
    *boxes(r"\sqrt{51}", correct=r"\sqrt{51}", wrong="51"),
    *boxes("2516_8", correct="2516_8 ; 2516_{8} ; 2516", wrong="2516_9"),
    *boxes(r"70 \sqrt{2}", correct=r"70\sqrt2", wrong="70"),
    *boxes(
        "(6,31,-1)", correct="(6, 31, -1) ; (a,b,c)=(6,31,-1) ; a=6, b=31, c=-1", wrong="(6,31,1)"
    ),
    *boxes(r"-\frac{35}{9}", correct=r"-3\frac{8}{9} ; -\frac{35}{9} ; -35/9"),
    *boxes(
        r"\begin{pmatrix} -18 & -49 & 96 \end{pmatrix}",
        correct=r"\begin{pmatrix} -18 & -49 & 96 \end{pmatrix}",
        wrong=r"\begin{pmatrix} -18 & 49 & 96 \end{pmatrix}",
    ),
    *boxes(r"8\sqrt{3}-5", correct=r"-5+8\sqrt3"),
    *boxes("18.90", correct=r"18.9 ; \$18.90"),
    *boxes(r"\frac{\sqrt{21}}{5}", correct=r"\frac{1}{5}\sqrt{21}"),
    *boxes(r"5.4 \text{ cents}", correct=r"5.4 ; 5.4\text{ cents} ; 5.4¢"),
    *boxes(r"11\sqrt2", correct=r"11\sqrt{2}"),
    *boxes("y = 2x + 3", correct="y=3+2x ; 2x+3"),
    *boxes("4210_{5}", correct="4210_5"),
    *boxes(r"\text{odd}", correct=r"odd ; \text{Odd}", wrong="even"),
    *boxes("[-2,7]", correct=r"-2\le x\le7 ; x\in[-2,7]", wrong="(-2,7)"),
    *boxes(r"(0,9) \cup (9,36)", correct=r"(9,36)\cup(0,9)", wrong="(0,36)"),
    *boxes(r"x \in [-2,7]", correct="[-2,7]"),
    *boxes(
        r"1 \pm \sqrt{19}",
        correct=r"1+\sqrt{19}, 1-\sqrt{19} ; \{1-\sqrt{19},1+\sqrt{19}\}"
        r" ; 1-\sqrt{19},\,1+\sqrt{19}",
        wrong=r"1+\sqrt{19}",
    ),
    *boxes(r"4\text{ km/h}", correct="4"),
    *boxes("6+9i", correct="9i+6 ; 6+9 i", wrong="6-9i"),
    *boxes(r"\frac{3}{2},-\frac12", correct="-1/2, 3/2 ; x=-0.5, 1.5"),
    *boxes("3R^2", correct="3R^2"),
    *boxes(r"10\%", correct="10 ; 0.1"),
    *boxes(
        r"(-\infty,-7) \cup (-7,3) \cup (3,\infty)",
        correct=r"(-\infty,-7)\cup(-7,3)\cup(3,\infty) ; x\ne -7, 3"
        r" ; x \ne -7 \text{ and } x\ne 3 ; \mathbb{R}\setminus\{-7,3\}",
        wrong=r"x \ne 7",
    ),
    *boxes(r"\tan 30^\circ", correct=r"\frac{\sqrt3}{3} ; \frac{1}{\sqrt{3}}", wrong=r"\sqrt{3}"),
    *boxes(r"12\text{ inches}", correct="12"),
    *boxes("3, 5, 7", correct=r"7,5,3 ; 3, 5, \text{ and } 7", wrong="3,5"),
    *boxes("y^4-2y^3+7y^2+y-5", correct="y^4 - 2y^3 + 7y^2 + y - 5"),
    *boxes("x=5", correct="5 ; x=5"),
    *boxes(r"-2 \le a < 6", correct=r"[-2,6) ; a\in[-2,6)", wrong="(-2,6)"),
    *boxes(r"e^{i\pi/4}", correct=r"\frac{\sqrt2}{2}+\frac{\sqrt2}{2}i"),
    *boxes(r"\frac{9}{256}", correct="9/256 ; 0.03515625"),
    *boxes(r"120^\circ", correct=r"120 ; \theta=120^\circ ; 120 \text{ degrees}"),
    *boxes("2x^2(3-2x)", correct="6x^2-4x^3"),
    *boxes(r"\frac{y+3}{y-2}", correct=r"1+\frac{5}{y-2}"),
    *boxes("20!", correct="2432902008176640000"),
    *boxes(r"\binom{10}{3}", correct="120"),
    *boxes(r"\log_{2} 3", correct=r"\frac{\ln 3}{\ln 2} ; \log_2(3)"),
    *boxes(r"90\text{ square units}", correct="90"),
    *boxes("12:30", correct=r"12:30 ; 12:30\text{ p.m.}", wrong="1:30 ; 12:45"),
    *boxes(
        r"\frac{x^2}{9}+\frac{y^2}{4}=1",
        correct=r"4x^2+9y^2=36 ; \frac{y^2}{4}+\frac{x^2}{9}=1",
        wrong=r"\frac{x^2}{4}+\frac{y^2}{9}=1 ; 1",
    ),
    *boxes("x+y=3", correct="y = 3-x ; y+x=3", wrong="x+y=4"),
    *boxes("2:3", correct=r"2:3 ; \frac23 ; 4:6", wrong="3:2"),
    *boxes(r"45\text{ mph}", correct="45 mph"),
    *boxes(r"\sin x + C", correct=r"C+\sin x ; \sin(x)+C", wrong=r"\cos x + C"),
    *boxes("n^2+n", correct="n(n+1)", wrong="n(n-1)"),
    *boxes("2^{n+1}-1", correct=r"2\cdot 2^n-1", wrong="2^n-1"),
    *boxes("(-1)^n", correct="(-1)^n", wrong="(-1)^{n+1}"),
    *boxes("n!", correct="n! ; n(n-1)!", wrong="(n-1)!"),
    *boxes("|x|", correct=r"|x| ; \sqrt{x^2}", wrong="x"),
    *boxes(r"\frac{a}{b}", correct="a/b", wrong="b/a"),
    *boxes(r"\frac{1}{x}, x\ne0", correct=r"\frac{1}{x}, x\ne0"),
    *boxes("A", correct="A", wrong="B"),
    *boxes(r"\cos\theta", correct=r"\cos \theta ; \cos(\theta)", wrong=r"\sin\theta"),
    *boxes(r"x \geq 2", correct=r"[2,\infty) ; x\ge2", wrong="x>2"),
    *boxes(r"\$32,\!348", correct=r"32348 ; \$32{,}348"),
    *boxes(
        r"144\pi \text{ cubic feet}", correct=r"144\pi ; 144\pi\text{ ft}^3 ; 144 π", wrong="144"
    ),
    *boxes(r"\frac{4}{5} \text{ of an hour}", correct="4/5"),
    *boxes(r"\text{Friday}", correct=r"friday ; \text{on Friday}"),
    *boxes(r"2\sqrt{2}+\sqrt{3}", correct=r"\sqrt{8}+\sqrt3"),
    *boxes(r"y = -\frac{3}{4}x + \frac{17}{4}", correct="y=-0.75x+4.25 ; 3x+4y=17"),
    *boxes(r"7\text{ or }8", correct=r"7, 8 ; 8 \text{ or } 7", wrong="7"),
    *boxes(r"9.8 \text{ m/s}^2", correct=r"9.8 ; 9.8\ \text{m/s}^2"),
    *boxes(
        r"\{(1,2),(3,4)\}",
        correct=r"(1,2),(3,4) ; (3,4),(1,2) ; (1,2) \text{ and } (3,4)",
        wrong="(1,2) ; (2,1),(4,3)",
    ),
]
