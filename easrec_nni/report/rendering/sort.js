// Sorts a table by the column whose heading is clicked: down, up, then the order of the report again.
document.querySelectorAll("figure.table table").forEach(function (table) {
  var original = Array.from(table.tBodies);
  var headings = Array.from(table.tHead.rows[table.tHead.rows.length - 1].cells);
  var rows = Array.from(table.querySelectorAll("tbody tr:not(.part)"));
  var homes = rows.map(function (row) { return row.parentNode; });
  function key(row, index) {
    var cell = row.cells[index];
    if (!cell) { return ""; }
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value === "" ? NaN : +cell.dataset.value;
  }
  function compare(a, b) {
    if (typeof a === "string") { return a.localeCompare(b); }
    return isNaN(a) || isNaN(b) ? 0 : a - b;
  }
  headings.forEach(function (heading, index) {
    heading.querySelector("button").addEventListener("click", function () {
      var now = heading.getAttribute("aria-sort");
      var next = now === null ? "descending" : now === "descending" ? "ascending" : null;
      headings.forEach(function (other) { other.removeAttribute("aria-sort"); });
      rows.forEach(function (row, place) { homes[place].appendChild(row); });
      original.forEach(function (body) {
        var part = body.querySelector(".part");
        if (part) { part.hidden = next !== null; }
      });
      if (next === null) { return; }
      heading.setAttribute("aria-sort", next);
      // What has no figure stays at the end, whichever way the rest is sorted.
      var known = rows.filter(function (row) { var k = key(row, index); return typeof k === "string" || !isNaN(k); });
      var rest = rows.filter(function (row) { return known.indexOf(row) < 0; });
      known.sort(function (a, b) { return compare(key(a, index), key(b, index)) * (next === "ascending" ? 1 : -1); });
      known.concat(rest).forEach(function (row) { original[0].appendChild(row); });
    });
  });
});
