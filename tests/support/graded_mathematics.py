r"""Spellings that models and data sets have of one answer, and near misses, by the kind of the gold answer.

What stands in a box is told by outcome, apart by " ; ".
"""

# ruff: noqa: RUF001

from support.graded_answers import boxes

SPELLINGS = [
    *boxes(r"10,\!080", correct=r"10,080 ; 10\,080 ; 10 080 ; 10,\!080", wrong="10.080 ; (10,80)"),
    *boxes(
        r"1,\!000,\!000",
        correct=r"1000000 ; 10^6 ; 1{,}000{,}000 ; 1,000,000 \text{ dollars}",
        wrong="1000",
    ),
    *boxes(
        r"\$18.90",
        correct=r"18.9 ; \$18.90 ; 18.90 \text{ dollars} ; \text{\$18.90}",
        wrong="19 ; 1890",
    ),
    *boxes(
        r"36^\circ", correct=r"36 ; 36 degrees ; 36° ; 36^{\circ} ; \angle A = 36^\circ", wrong="63"
    ),
    *boxes(r"50\%", correct=r"50 ; 50\% ; 50% ; 0.5 ; 50 percent ; \frac{1}{2}", wrong="5 ; 0.05"),
    *boxes("0.125", correct=r"12.5\% ; \frac18 ; .125 ; 1/8", wrong="0.13 ; 1.25"),
    *boxes(
        r"\frac{2}{3}",
        correct=r"0.\overline{6} ; 0.666667 ; 2/3 ; 66\frac{2}{3}\% ; 0.6666666667"
        r" ; 0.\dot{6} ; 0.6\overline{6} ; 0.666... ; 0.666\ldots ; ⅔",
        wrong="0.67 ; 0.66 ; 0.6667 ; 0.6",
    ),
    *boxes(
        r"0.\overline{142857}",
        correct=r"1/7 ; \frac{1}{7} ; 0.\overline{142857}",
        wrong="0.142858 ; 1/8",
    ),
    *boxes(
        r"2\frac{1}{2}",
        correct=r"5/2 ; 2.5 ; 2 1/2 ; 2½ ; 2\tfrac12 ; 2 \frac{1}{2}",
        wrong="21/2 ; 1 ; 2/2 ; 11/2",
    ),
    *boxes(
        r"-\frac{7}{2}", correct=r"-3.5 ; -3 1/2 ; -3\frac{1}{2} ; −3½", wrong=r"-\frac{5}{2} ; 3.5"
    ),
    *boxes(
        "1.2e5",
        correct=r"120000 ; 1.2\times 10^5 ; 1.2 \cdot 10^{5} ; 1.2E5 ; 1.2 × 10⁵",
        wrong="12000",
    ),
    *boxes(
        r"6.02 \times 10^{23}",
        correct=r"6.02\times10^{23} ; 6.02e23 ; 602000000000000000000000",
        wrong=r"6.03\times10^{23} ; 6.02\times10^{22}",
    ),
    *boxes(
        "2+3i",
        correct=r"3i+2 ; 2+3\mathrm{i} ; 2 + 3\cdot i ; 2+3 i ; 2+3\,i ; 2 + 3*i ; 2+i3"
        " ; z = 2+3i",
        wrong="2-3i ; 5 ; 2+3",
    ),
    *boxes(
        r"\frac{1+i\sqrt{3}}{2}",
        correct=r"\frac12+\frac{\sqrt3}{2}\mathrm{i} ; e^{i\pi/3} ; \frac{1}{2}(1+\sqrt{3}i)"
        r" ; \cos 60^\circ + i\sin 60^\circ",
        wrong=r"\frac{1-i\sqrt3}{2}",
    ),
    *boxes(r"\infty", correct=r"∞ ; +∞ ; +\infty ; \text{infinity} ; infinity", wrong="-∞ ; 1"),
    *boxes(
        r"(-\infty,3]",
        correct=r"(-∞, 3] ; x \le 3 ; x ≤ 3 ; x<=3 ; \{x : x \le 3\}"
        r" ; \{x \in \mathbb{R} \mid x \leq 3\} ; 3 \ge x ; \left(-\infty, 3\right]",
        wrong=r"(-∞,3) ; x<3 ; x \ge 3",
    ),
    *boxes(
        r"(-\infty,-1)\cup(1,\infty)",
        correct=r"x<-1 \text{ or } x>1 ; x < -1 or x > 1 ; x>1\text{ or }x<-1 ; |x|>1"
        r" ; (1,\infty) \cup (-\infty,-1) ; (-∞,-1)∪(1,∞) ; x<-1 \lor x>1"
        r" ; \{x \mid x<-1 \text{ or } x>1\} ; x\in(-\infty,-1)\cup(1,+\infty)"
        r" ; (-\infty,-1) \text{ or } (1,\infty)"
        r" ; (-\infty,-1) \text{ and } (1,\infty)",
        wrong=r"x<-1 \text{ or } x\ge1 ; (-\infty,-1]\cup[1,\infty) ; -1<x<1"
        r" ; x<1 \text{ or } x>1",
    ),
    *boxes(
        "-1 < x < 4",
        correct=r"(-1,4) ; x\in(-1,4) ; x>-1 \text{ and } x<4 ; -1<x<4 ; 4>x>-1",
        wrong=r"[-1,4] ; -1\le x<4 ; (-1,4]",
    ),
    *boxes(
        "1011_2",
        correct=r"1011_2 ; 1011_{2} ; 1011_{\text{two}} ; 1011\text{ in base 2}"
        " ; 1011 base 2 ; (1011)_2 ; 1011_{(2)} ; 1011",
        wrong="11 ; 1011_3 ; 1001_2 ; 1101_2",
    ),
    *boxes("4343_6", correct="4343_6 ; 4343_{6}", wrong="4344_6 ; 4343_7"),
    *boxes("11", correct=r"11_{10} ; 11_{\text{ten}}", wrong="12_{10}"),
    *boxes(
        r"\begin{pmatrix} 1 \\ -2 \end{pmatrix}",
        correct=r"\begin{pmatrix} 1 \\[4pt] -2 \end{pmatrix}"
        r" ; \begin{bmatrix}1\\-2\end{bmatrix} ; \begin{pmatrix}1\\-2\\\end{pmatrix}"
        r" ; \left(\begin{array}{c}1\\-2\end{array}\right)"
        r" ; \left[\begin{matrix}1\\-2\end{matrix}\right]"
        r" ; \begin{pmatrix} \frac{2}{2} \\[1ex] -2.0 \end{pmatrix}"
        r" ; \mathbf{v} = \begin{pmatrix} 1 \\ -2 \end{pmatrix}",
        wrong=r"\begin{pmatrix} -2 \\ 1 \end{pmatrix} ; \begin{pmatrix} 1 \\ 2 \end{pmatrix}"
        " ; 1",
    ),
    *boxes(
        r"\begin{pmatrix} 1/5 & 2/5 \\ 0 & 1 \end{pmatrix}",
        correct=r"\begin{pmatrix} \frac15 & \frac25 \\ 0 & 1 \end{pmatrix}"
        r" ; \begin{pmatrix} 0.2 & 0.4 \\ 0 & 1 \end{pmatrix}"
        r" ; \frac15\begin{pmatrix} 1 & 2 \\ 0 & 5 \end{pmatrix}",
        wrong=r"\begin{pmatrix} 2/5 & 1/5 \\ 0 & 1 \end{pmatrix}"
        r" ; \begin{pmatrix} 1/5 & 2/5 & 0 & 1 \end{pmatrix}",
    ),
    *boxes(
        r"\sqrt{2}",
        correct=r"√2 ; \sqrt2 ; sqrt(2) ; sqrt{2} ; 2^{1/2} ; 2^{0.5}"
        r" ; \sqrt{2} \approx 1.414 ; 1.41421356",
        wrong="1.414 ; √3 ; 2",
    ),
    *boxes(
        r"\frac{1}{2}",
        correct=r"½ ; \frac12 ; 1/2 ; 0.5 ; .5 ; \text{one half} = \frac12",
        wrong="1/3 ; 2",
    ),
    *boxes(
        r"2\sqrt{3}",
        correct=r"2√3 ; \sqrt{12} ; 2 \sqrt 3 ; 2\cdot\sqrt{3} ; 2*sqrt(3)"
        r" ; \frac{6}{\sqrt3}",
        wrong=r"3\sqrt{2} ; \sqrt{6}",
    ),
    *boxes(
        "0.0000672", correct=r"6.72\times10^{-5} ; 6.72e-5 ; .0000672", wrong="0.000067 ; 0.0000671"
    ),
    *boxes(
        r"\frac{1}{2^{99}}",
        correct=r"2^{-99} ; \frac{2}{2^{100}} ; (1/2)^{99} ; \left(\frac12\right)^{99}",
        wrong=r"\frac{1}{2^{98}} ; 0 ; 2^{99}",
    ),
    *boxes(
        "1-2^{-100}",
        correct=r"\frac{2^{100}-1}{2^{100}}",
        wrong=r"1 ; 1-2^{-99} ; \frac{2^{100}-1}{2^{101}}",
    ),
    *boxes("10^{12}+1", correct="1000000000001", wrong="10^{12} ; 1000000000000"),
    *boxes(
        r"\text{Monday}",
        correct=r"Monday ; \text{monday} ; \text{It is Monday.} ; \textbf{Monday}",
        wrong="Tuesday ; 1",
    ),
    *boxes(
        r"\text{no solution}", correct=r"\text{No solutions} ; \emptyset ; \varnothing", wrong="0"
    ),
    *boxes(
        r"\text{(A)}",
        correct=r"A ; (A) ; \text{A} ; \textbf{(A) } 5 ; \text{Option A} ; A) 5"
        r" ; \mathrm{(A)}\ 5",
        wrong=r"B ; \text{(B)} ; \textbf{(B)}\ 5",
    ),
    *boxes(r"\emptyset", correct=r"\text{no solution} ; \{\} ; ∅", wrong=r"\{0\}"),
    *boxes(
        "70",
        correct=r"The answer is 70 ; \text{The answer is } 70"
        r" ; \text{The final answer is 70.} ; \text{There are 70 ways}"
        r" ; There are 70 ways. ; approximately 70 ; \text{about } 70"
        r" ; 70 \text{ (approximately)} ; 70 because 3+67=70"
        r" ; 70\text{ since }35+35=70 ; \text{Total: } 70 ; N = 70 ; m+n=70"
        r" ; |A\cup B| = 70 ; 70 \text{ square units} ; 70 \text{ m/s}"
        r" ; 70\text{ }\mathrm{cm}^3 ; 70\ \mathrm{kg} ; 70 people ; 70\,\text{mph}"
        r" ; ７０ ; 70。 ; 7.0\times10^1 ; 7.0 \times 10 ; 70!/69!",
        wrong=r"\text{There are 70 red and 30 blue} ; 70 million ; -70 ; 70x"
        r" ; \text{not } 70 ; 70 \text{ or } 7 ; 0.7 ; 70^2 ; 7 ; 70\%70 ; half of 70"
        " ; 70 squared",
    ),
]
