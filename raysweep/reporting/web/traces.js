// The page of traces: it loads one question at a time from scripts beside it, and writes all texts as text.
"use strict";

const byId = (id) => document.getElementById(id);
const form = byId("choices");
const arrived = new Map(); // by the name of a file, what waits for it and what it said
for (const kind of ["error", "unhandledrejection"])
  addEventListener(kind, (event) => { document.body.dataset.error = event.message || String(event.reason); });

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
function traceData(name, packed) { // each of the files beside the page calls this
  arrived.get(name)?.resolve(unpack(packed));
}
function load(data, name) {
  const known = arrived.get(name);
  if (known) return known.promise;
  const entry = {};
  entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
  arrived.set(name, entry);
  const script = document.createElement("script");
  script.src = `${data.folder}/${name}.js`;
  script.onerror = () => { arrived.delete(name); entry.reject(new Error(`${script.src} is missing`)); };
  script.onload = () => script.remove();
  document.head.append(script);
  return entry.promise;
}
const number = (value) => value.toLocaleString("en");
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)}%`);
function made(name, className, ...parts) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...parts);
  return element;
}
const words = (outcome) => outcome.replace("_", " ").replace("error", "not scored");
const ENDS = {
  stop: "closed by itself", budget: "cut by the largest budget", loop: "went round in a loop",
  end: "the text ended during thinking", deadline: "given up as too slow",
};

// The vote of the first `group` samples at a budget: a twin of `poll` in trace_samples.py.
function poll(own, budget, group, outcomes) {
  const counts = new Map(), absent = new Map();
  let present = 0;
  for (const [index, , , , given] of own.samples) {
    if (index >= group || !given[budget]) continue;
    const [, , outcome, place] = given[budget];
    present += 1;
    const tally = place === null ? absent : counts, key = place === null ? outcomes[outcome] : place;
    tally.set(key, (tally.get(key) ?? 0) + 1);
  }
  const votes = [...counts].map(([place, count]) => ({ text: own.classes[place][0], right: own.classes[place][1] === 1, count }))
    .sort((a, b) => b.count - a.count || b.right - a.right || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  return { votes, winners: votes.filter((one) => one.count === votes[0].count), absent, missing: group - present };
}
function verdict({ winners, missing }, group) {
  if (missing === group) return { text: "no samples", mood: "" };
  if (!winners.length) return { text: "nobody votes", mood: "bad" };
  if (winners.length === 1) return { text: `${winners[0].text}, ${winners[0].right ? "right" : "wrong"}`, mood: winners[0].right ? "good" : "bad" };
  const right = winners.some((one) => one.right);
  return { text: `a tie of ${winners.length}: ${winners.map((one) => one.text).join(" | ")}; ${right ? `right in 1 of ${winners.length}` : "wrong"}`, mood: right ? "even" : "bad" };
}
const votesInWords = ({ votes }) => votes.map((one) => `${one.count} × ${one.text}${one.right ? " ✓" : ""}`).join(", ") || "–";
function absentInWords({ absent, missing }) {
  const parts = [...absent].map(([outcome, count]) => `${count} ${words(outcome)}`);
  if (missing) parts.push(`${missing} missing`);
  return parts.join(", ") || "–";
}

function start(data) {
  const state = { question: 0, engine: 0, beside: -1, budget: data.budgets.length - 1, group: 0 };
  let asked = 0; // the last drawing; an earlier one that is still loading is given up

  // ---- the address ----
  function readAddress() {
    const wanted = new URLSearchParams(location.hash.slice(1)), unknown = [];
    const lookUp = (key, values, name) => {
      if (!wanted.has(key)) return;
      const found = values.map(String).indexOf(wanted.get(key));
      if (found >= 0) state[name ?? key] = found;
      else unknown.push(`${key} ${wanted.get(key)}`);
    };
    const ids = data.engines.map((engine) => engine.id);
    lookUp("question", data.questions);
    lookUp("engine", ids);
    lookUp("beside", ids);
    lookUp("token_budget", data.budgets, "budget");
    lookUp("group_size", data.groups, "group");
    tell(unknown.length ? `Not among the traces that were written: ${unknown.join(", ")}. The setting traces.engines chooses engines.` : "");
  }
  function writeAddress() {
    const { question, engine, beside, budget, group } = state;
    const parts = { question: data.questions[question], engine: data.engines[engine].id, token_budget: data.budgets[budget], group_size: data.groups[group] };
    if (beside >= 0) parts.beside = data.engines[beside].id;
    history.replaceState(null, "", `#${new URLSearchParams(parts)}`);
  }
  function tell(text) {
    byId("trouble").hidden = !text;
    byId("trouble").textContent = text;
  }

  // ---- controls ----
  function fill(name, texts, first = 0) {
    form.elements[name].replaceChildren(...texts.map((text, i) => {
      const option = made("option", "", text);
      option.value = i + first;
      return option;
    }));
  }
  const labels = data.engines.map((engine) => engine.id + (engine.frontier ? " (on the frontier)" : ""));
  fill("engine", labels);
  fill("beside", ["no other", ...labels], -1);
  fill("budget", data.budgets.map(number));
  fill("group", data.groups.map(number));
  byId("tiles").append(...data.questions.map((id, place) => {
    const tile = made("button", "tile");
    tile.type = "button";
    tile.addEventListener("click", () => choose({ question: place }));
    return tile;
  }));
  function choose(changes) {
    Object.assign(state, changes);
    tell("");
    writeAddress();
    draw();
  }
  form.addEventListener("input", ({ target }) => choose({ [target.name]: Number(target.value) }));
  form.addEventListener("submit", (event) => event.preventDefault());
  const step = (by) => choose({ question: (state.question + by + data.questions.length) % data.questions.length });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  addEventListener("hashchange", () => { readAddress(); draw(); });

  // ---- what is shown ----
  async function draw() {
    const turn = (asked += 1), view = { ...state };
    for (const name of ["engine", "beside", "budget", "group"]) form.elements[name].value = view[name];
    try {
      const shown = [view.engine, ...(view.beside >= 0 && view.beside !== view.engine ? [view.beside] : [])];
      const [scores, question] = await Promise.all([load(data, `s${view.engine}`), load(data, `q${view.question}`)]);
      const texts = await Promise.all(shown.map((engine) => (hasTexts(question, engine) ? load(data, `q${view.question}-e${engine}`) : [])));
      if (turn !== asked) return;
      drawTiles(view, scores);
      drawQuestion(view, question);
      drawEngines(view, question);
      byId("samples").replaceChildren(...shown.map((engine, i) => column(view, question, engine, texts[i])));
      const score = scores[view.budget][view.group]?.[view.question] ?? null;
      if (score !== null) byId(`vote-${view.engine}`).append(` Over all groups of ${plural(data.groups[view.group], "sample")}, ${percent(score)} of the votes are right.`);
    } catch (error) {
      if (turn === asked) tell(`${error.message}. Copy the whole folder of the report, or make the traces again.`);
    }
    document.body.dataset.ready = String(turn);
  }
  const hasTexts = (question, engine) => (question.engines[engine]?.samples ?? []).some(([index]) => index < data.texts);

  function drawTiles({ question, engine, budget, group }, scores) {
    const own = scores[budget][group];
    byId("questions-caption").textContent = `Each tile is a question, with the score of ${data.engines[engine].id} at ${plural(data.budgets[budget], "token")} and ${plural(data.groups[group], "vote")}: how often a vote of random samples is right.` + (own ? "" : " This scenario has no scores.");
    [...byId("tiles").children].forEach((tile, place) => {
      const score = own?.[place] ?? null, percentage = score === null ? "no score" : percent(score);
      tile.textContent = score === null ? "–" : String(Math.round(100 * score));
      tile.title = `${data.questions[place]}: ${percentage}`;
      tile.setAttribute("aria-label", tile.title);
      tile.setAttribute("aria-pressed", String(place === question));
      tile.dataset.level = score === null ? "none" : String(Math.round(4 * score));
    });
  }
  function drawQuestion({ question }, { prompt, gold }) {
    byId("question-title").textContent = data.questions[question];
    byId("prompt").textContent = prompt;
    byId("gold").textContent = gold;
  }
  function drawEngines(view, question) {
    const group = data.groups[view.group];
    byId("engines-caption").textContent = `The first ${plural(group, "sample")} at ${plural(data.budgets[view.budget], "token")}. Equal answers are one. Choose an engine to put it beside the first.`;
    const isChosen = (place) => place === view.engine || place === view.beside;
    const places = data.engines.map((_, place) => place).sort((a, b) => isChosen(b) - isChosen(a));
    const lines = places.map((place) => {
      const engine = data.engines[place];
      const own = question.engines[place] ?? { classes: [], samples: [] };
      const found = poll(own, view.budget, group, data.outcomes), said = verdict(found, group);
      const right = own.samples.filter(([, , , , given]) => given[view.budget]?.[2] === 0).length;
      const button = made("button", "plain", engine.id);
      button.type = "button";
      button.addEventListener("click", () => choose(place === view.engine ? { beside: -1 } : { beside: place }));
      const head = made("th", "", button);
      head.scope = "row";
      return made("tr", isChosen(place) ? "chosen" : "", head,
        made("td", `said-by-vote ${said.mood}`, said.text), made("td", "wide", votesInWords(found)), made("td", "wide", absentInWords(found)),
        made("td", "number", `${right} of ${own.samples.length}`));
    });
    byId("engines-table").tBodies[0].replaceChildren(...lines);
  }
  function column(view, question, place, texts) {
    const engine = data.engines[place], own = question.engines[place] ?? { classes: [], samples: [] };
    const title = made("h2", "", engine.id), section = made("section", "card", title);
    title.id = `column-${place}`;
    section.setAttribute("aria-labelledby", title.id);
    const found = poll(own, view.budget, data.groups[view.group], data.outcomes), said = verdict(found, data.groups[view.group]);
    const vote = made("p", "caption", "Vote of the first ", String(data.groups[view.group]), ": ", made("b", `said-by-vote ${said.mood}`, said.text), ".");
    vote.id = `vote-${place}`;
    section.append(vote);
    if (!engine.decoded) section.append(made("p", "hint", "The tokenizer of this model was not at hand when the page was made, so the thinking is not shown."));
    if (!own.samples.length) section.append(made("p", "", "This engine has no samples of this question."));
    const others = made("details", "others", made("summary", ""));
    for (const sample of own.samples) {
      const text = texts.find((one) => one.index === sample[0]);
      (text ? section : others).append(sampleOf(view, own, sample, text, engine.id));
    }
    if (others.children.length > 1) {
      others.firstChild.textContent = `${plural(others.children.length - 1, "sample")} whose answers alone are here`;
      section.append(others);
    }
    return section;
  }
  function sampleOf(view, own, [index, tokens, finish, waits, given], text, engine) {
    const answer = given[view.budget], outcome = answer ? data.outcomes[answer[2]] : "missing";
    const article = made("details", `sample ${outcome}`);
    article.open = Boolean(text);
    const votes = index < data.groups[view.group] ? "" : "does not vote";
    article.append(made("summary", "", made("b", "", `Sample ${index}`), " ", made("span", `outcome ${outcome}`, words(outcome)), " ",
      made("span", "given", answer && answer[3] !== null ? own.classes[answer[3]][0] : ""), made("small", "", ` ${plural(tokens, "token")}; ${ENDS[finish] ?? finish}${waits ? `; ${plural(waits, "early end")} replaced` : ""}${votes ? `; ${votes}` : ""}`)));
    article.append(budgetsOf(own, given, view.budget));
    if (text) article.append(...textsOf(view, own, given, text, engine));
    return article;
  }
  function budgetsOf(own, given, chosen) { // the answer after each budget, to be chosen
    const line = made("p", "budgets");
    given.forEach((answer, budget) => {
      const outcome = answer ? data.outcomes[answer[2]] : "missing";
      const said = answer && answer[3] !== null ? own.classes[answer[3]][0] : words(outcome);
      const button = made("button", `budget ${outcome}`, `${number(data.budgets[budget])}: ${said}${outcome === "correct" ? " ✓" : ""}`);
      button.type = "button";
      button.title = answer ? `${words(outcome)} after ${plural(answer[0], "token")} of thinking, ${answer[1] ? "closed by force" : "closed by itself"}` : "no answer at this budget";
      button.setAttribute("aria-pressed", String(budget === chosen));
      button.addEventListener("click", () => choose({ budget }));
      line.append(button);
    });
    return line;
  }
  function textsOf(view, own, given, text, engine) {
    const limit = given[view.budget]?.[0] ?? Infinity, parts = [];
    if (text.thinking) {
      const box = made("div", "said thinking");
      box.dir = "auto";
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", `Thinking of ${engine}, sample ${text.index}`);
      text.cuts.forEach((cut, n) => {
        box.append(made("span", cut <= limit ? "" : "beyond", text.thinking[n]), markOf(own, given, cut, cut === limit));
      });
      parts.push(made("h3", "", "Thinking"), box);
    }
    const budget = data.budgets[view.budget], answer = text.answers.find(([one]) => one === budget);
    if (answer) {
      const box = made("p", "said answer", answer[1].replace(/^\n+/, "") || "(nothing)");
      box.dir = "auto";
      parts.push(made("h3", "", `Answer after ${plural(limit, "token")} of thinking`), box);
    }
    return parts;
  }
  function markOf(own, given, cut, isChosen) { // where budgets cut the thinking, and what was answered then
    const here = given.map((answer, budget) => [answer, budget]).filter(([answer]) => answer?.[0] === cut);
    const byAnswer = new Map();
    for (const [answer, budget] of here) {
      const said = `${answer[3] === null ? words(data.outcomes[answer[2]]) : own.classes[answer[3]][0]}${answer[2] === 0 ? " ✓" : ""}`;
      byAnswer.set(said, [...(byAnswer.get(said) ?? []), number(data.budgets[budget])]);
    }
    const forced = here.some(([answer]) => answer[1]);
    const answers = [...byAnswer].map(([said, budgets]) => `${budgets.length === 1 ? "budget" : "budgets"} ${budgets.join(", ")}: ${said}`);
    return made("span", `cut${isChosen ? " chosen" : ""}`, `${plural(cut, "token")}, ${forced ? "cut by force" : "closed by itself"}; ${answers.join("; ")}`);
  }

  readAddress();
  draw();
}
(async () => start(await unpack(byId("data").textContent)))();
