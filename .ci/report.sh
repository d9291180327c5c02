#!/usr/bin/env bash
# The report as a reader meets it: pages opened in headless Chromium at 1280 and 390 px, light and dark. Every chart has its marks, no
# text is below 11 px or 4.5:1 of contrast, the body does not scroll sideways, the console stays empty. Then pages that are broken on
# purpose, each of which must be found out.
#   .ci/report.sh [build folder] [PAGE.html…]: default: the pages of the tests' summaries
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
source .ci/setup.sh
require_packages chromium gnuplot-nox fonts-dejavu-core
build=${1:-build}
shift || true
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cat >"$scratch/check.js" <<'JS'
const found = [];
const visible = element => element.getClientRects().length > 0;
const channels = text => (text.match(/[\d.]+/g) || []).map(Number);
function luminance(colour) {
  const [r, g, b] = colour.map(c => c / 255).map(c => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
}
function background(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = channels(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
}
const name = element => `${element.tagName} “${element.textContent.trim().slice(0, 30)}”`;

function checkTexts() {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let n = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || /^(SCRIPT|STYLE)$/.test(element.tagName) || !visible(element)) continue;
    const style = getComputedStyle(element), svg = element.closest("svg");
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    const size = parseFloat(style.fontSize) * scale, colour = channels(svg ? style.fill : style.color);
    const ratio = contrast(colour, background(element));
    n++;
    if (!(size >= 10.99)) found.push(`${name(element)}: ${size.toFixed(1)} px`);
    if (!(ratio >= 4.5)) found.push(`${name(element)}: contrast ${ratio.toFixed(2)}`);
  }
  return n;
}

function checkChart(figure) {
  const svg = [...figure.querySelectorAll("svg")].filter(visible)[0], wanted = Number(figure.dataset.marks);
  if (!svg) return found.push(`${figure.id}: no chart is shown`), 0;
  const frame = svg.getBoundingClientRect();
  let n = 0;
  for (const series of svg.querySelectorAll(".series")) {
    const marks = [...series.querySelectorAll("use, path, polygon")].filter(m => !m.closest("defs"));
    const dots = marks.filter(m => m.tagName === "use");
    n += dots.length || Math.min(1, marks.length);
    const sized = marks.filter(m => m.getBoundingClientRect().width + m.getBoundingClientRect().height > 0);
    if (dots.some(m => !sized.includes(m)) || (marks.length && !sized.length)) found.push(`${figure.id}: a mark without size`);
    for (const mark of marks) {
      const box = mark.getBoundingClientRect();
      if (box.left < frame.left - 3 || box.right > frame.right + 3 || box.top < frame.top - 3 || box.bottom > frame.bottom + 3)
        found.push(`${figure.id}: a mark outside of the chart`);
    }
  }
  for (const text of svg.querySelectorAll("text")) {
    const box = text.getBoundingClientRect();
    if (box.left < frame.left - 16 || box.right > frame.right + 16) found.push(`${figure.id}: ${name(text)} is cut`);
  }
  if (!(wanted > 0) || n !== wanted) found.push(`${figure.id}: ${n} marks, ${wanted} in the data`);
  return n;
}

function check() {
  const figures = [...document.querySelectorAll("figure")], n = checkTexts();
  const marks = figures.map(checkChart).reduce((a, b) => a + b, 0);
  const ids = [...document.querySelectorAll("[id]")].map(e => e.id), twice = ids.filter((id, i) => ids.indexOf(id) !== i);
  if (twice.length) found.push(`ids that stand twice: ${twice.slice(0, 5)}`);
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the body is ${document.documentElement.scrollWidth} px wide in a window of ${innerWidth}`);
  for (const table of document.querySelectorAll("table"))
    if (!table.caption || !table.querySelector("th[scope]")) found.push(`a table without caption or scope: ${name(table)}`);
  for (const region of document.querySelectorAll(".scroll"))
    if (region.tabIndex !== 0) found.push(`a scrolled table that the keyboard does not reach: ${name(region)}`);
  if (n < 50) found.push(`only ${n} texts`);
  const scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  return `${innerWidth} px ${scheme}: ${figures.length} charts with ${marks} marks, ${n} texts`;
}
const seen = check();
parent.postMessage(`${seen}\n${found.map(f => "! " + f + "\n").join("")}end`, "*");
JS

# browse PAGE light|dark OPTION…: what Chromium prints; its log goes to $scratch/log
browse() {
  local page=$1 dark=1
  [ "$2" = light ] || dark=0
  shift 2
  chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$scratch/profile" --window-size=1400,900 --dump-dom \
    --blink-settings=preferredColorScheme=$dark --enable-logging=stderr "$@" "file://$page" 2>"$scratch/log"
}

# findings PAGE WIDTH SCHEME: the page with the script above in it, which its policy would not let run. It stands in a frame, since no
# window of Chromium is narrower than 500 px.
findings() {
  { sed 's/<meta http-equiv=Content-Security-Policy[^>]*>//' "$1"; echo '<script>'; cat "$scratch/check.js"; echo '</script>'; } >"$scratch/open.html"
  cat >"$scratch/frame.html" <<HTML
<!DOCTYPE html><body style="margin:0"><script>
onmessage = event => {
  const out = document.createElement("pre");
  out.id = "findings";
  out.textContent = event.data;
  document.body.append(out);
};
</script><iframe src="open.html" style="border:0;width:${2}px;height:900px"></iframe>
HTML
  browse "$scratch/frame.html" "$3" --virtual-time-budget=3000 | sed -n '/<pre id="findings">/,/^end/p' |
    sed 's/.*<pre id="findings">//; s/&gt;/>/g; s/&lt;/</g'
}

check_page() {
  local page=$1 width scheme text
  browse "$page" light >"$scratch/dom"
  ! grep 'CONSOLE' "$scratch/log" || die "$page: the console is not empty"
  for width in 1280 390; do
    for scheme in light dark; do
      text=$(findings "$page" $width $scheme)
      grep -q '^end' <<<"$text" || die "$page at $width px: the check did not end: $(tail -3 "$scratch/log")"
      grep -q "^$width px $scheme" <<<"$text" || die "$page: asked for $width px $scheme, got: $(head -1 <<<"$text")"
      ! grep '^!' <<<"$text" || die "$page at $width px, $scheme: the findings above"
      ! grep 'CONSOLE' "$scratch/log" || die "$page at $width px: the console is not empty"
      say "$(basename "$page"): $(head -1 <<<"$text")"
    done
  done
}

# broken NAME SED-EXPRESSION FINDING: the page so changed is found out
broken() {
  local text
  sed "$2" "$scratch/full.html" >"$scratch/broken.html"
  ! cmp -s "$scratch/full.html" "$scratch/broken.html" || die "'$1' changes nothing"
  text=$(findings "$scratch/broken.html" 390 light)
  grep -q "^! .*$3" <<<"$text" || die "a page with $1 passes"
  say "found out: $1"
}

pages=("$@")
if [ ${#pages[@]} -eq 0 ]; then
  for summary in tests/perf/summaries/*.json; do
    page=$scratch/$(basename "$summary" .json).html
    "$build/report_page" "$summary" "$page"
    pages+=("$page")
  done
fi
for page in "${pages[@]}"; do check_page "$(realpath "$page")"; done
if [ $# -eq 0 ]; then
  broken 'a chart without its marks' 's/<use [^>]*\/>//' 'marks, .* in the data'
  broken 'small text' 's/<figcaption>/<figcaption style="font-size:9px">/' '9.0 px'
  broken 'pale text' 's/--muted:#565b63/--muted:#b8bbc0/' 'contrast'
  broken 'something wide' 's/<footer>/<footer style="width:700px">/' 'the body is'
  broken 'an id twice' 's/id=cost /id=time /' 'stand twice'
fi
