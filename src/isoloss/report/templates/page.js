"use strict";
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    const given = cell.dataset.sort;
    if (given !== undefined) return isNaN(given) ? given : Number(given);
    return cell.textContent.trim() === "–" ? null : cell.textContent.trim();
  };

  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };

  const sort = (table, column) => {
    const heads = table.tHead.rows[0].cells;
    const descending = heads[column].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [value(row, column), row]);
    keyed.sort(([a], [b]) => {
      // What is missing stays at the end in either direction.
      if (a === null || b === null) return (a === null) - (b === null);
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...keyed.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table[data-table]")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.firstElementChild.addEventListener("click", () => sort(table, column));
    });
  }

  const controls = (name) => ({
    table: document.querySelector(`table[data-table="${name}"]`),
    search: document.querySelector(`[data-search="${name}"]`),
    marked: document.querySelector(`[data-marked="${name}"]`),
    count: document.querySelector(`[data-count="${name}"]`),
  });

  const filter = (name) => {
    const { table, search, marked, count } = controls(name);
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !terms.every((term) => text.includes(term)) || (marked.checked && !row.classList.contains("marked"));
      shown += !row.hidden;
    }
    count.textContent = `${shown} rows`;
  };

  for (const search of document.querySelectorAll("[data-search]")) {
    const name = search.dataset.search;
    search.addEventListener("input", () => filter(name));
    controls(name).marked.addEventListener("change", () => filter(name));
  }

  // A point of a figure leads to its row, which a search must not hide.
  const reveal = () => {
    const row = location.hash.startsWith("#run-") && document.getElementById(location.hash.slice(1));
    if (!row || !row.hidden) return;
    const { search, marked } = controls("runs");
    search.value = "";
    marked.checked = false;
    filter("runs");
    row.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);

  // A point says what it is, under the pointer or the keyboard's focus, and keeps its words while the page scrolls.
  const tip = document.getElementById("tip");
  let described = null;
  const place = () => {
    if (!described) return;
    const at = described.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - box.width / 2), innerWidth - box.width - 8);
    const above = at.top - box.height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : at.bottom + 8}px`;
  };
  const tell = (event) => {
    const link = event.target instanceof Element && event.target.closest('a[href^="#run-"]');
    const row = link && document.getElementById(link.getAttribute("href").slice(1));
    described = row ? link : null;
    tip.hidden = !row;
    if (row) tip.textContent = row.dataset.tip;
    place();
  };
  document.addEventListener("pointerover", tell);
  document.addEventListener("focusin", tell);
  addEventListener("scroll", place, { passive: true });
})();
