// The button that copies the BibTeX entries. Where a browser refuses, it selects them instead.
"use strict";

byId("cite-copy").addEventListener("click", async ({ target }) => {
  const entries = byId("bibtex");
  try {
    await navigator.clipboard.writeText(entries.textContent);
    target.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(entries);
    target.textContent = "Selected";
  }
});
