/* The page's style. Colours of devices (--d) and parts (--k) are Okabe and Ito's, which colour-blind readers tell apart, brighter or
 * darker where the background needs it; text is never in them. */
#include "perf/report/style.h"

#include <stddef.h>

#define LIGHT                                                                                                                  \
  "--paper:#fdfdfb;--ink:#1b1d20;--muted:#565b63;--rule:#d5d6d1;--grid:#e3e4df;--soft:#f3f4ef;--link:#00558a;--good:#00614a;"  \
  "--bad:#9c3300;--d0:#0072b2;--d1:#d55e00;--d2:#009e73;--d3:#b5588f;--d4:#c98900;--d5:#3f9bd1;--d6:#5b5f66;--d7:#8a6d00;"     \
  "--k0:#0072b2;--k1:#d55e00;--k2:#009e73;--k3:#e69f00;--k4:#56b4e9;--k5:#cc79a7;--k6:#8c9097;--k7:#2b2d31"
#define DARK                                                                                                                   \
  "--paper:#15171a;--ink:#e9e9e5;--muted:#a9aeb6;--rule:#383c42;--grid:#2b2f35;--soft:#1e2126;--link:#7cc4f2;--good:#4fd1a8;"  \
  "--bad:#ff9d66;--d0:#3d9fdc;--d1:#ef7d2b;--d2:#1fbd8f;--d3:#d98bb8;--d4:#e6b040;--d5:#86c9f3;--d6:#a3a8b0;--d7:#d3bf4a;"      \
  "--k0:#3d9fdc;--k1:#ef7d2b;--k2:#1fbd8f;--k3:#e6b040;--k4:#86c9f3;--k5:#d98bb8;--k6:#80858d;--k7:#e9e9e5"

const char *const page_style[] = {
    ":root{color-scheme:light dark;" LIGHT "}",
    "@media (prefers-color-scheme:dark){:root{" DARK "}}",
    "*{box-sizing:border-box}",
    "html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}",
    "@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}",
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica "
    "Neue','Liberation Sans',Arial,sans-serif;overflow-wrap:break-word;font-variant-numeric:tabular-nums lining-nums}",
    "a{color:var(--link)}",
    ":focus-visible{outline:3px solid var(--link);outline-offset:2px}",
    ".skip{position:absolute;left:-999px}.skip:focus{left:12px;top:12px;background:var(--paper);padding:8px 12px;z-index:9}",
    ".page{max-width:1264px;margin:0 auto;padding:0 24px;display:grid;grid-template-columns:190px minmax(0,1fr);column-gap:52px}",
    "header{grid-column:1/-1;padding:44px 0 22px;border-bottom:1px solid var(--rule)}",
    "header p{margin:6px 0 0;color:var(--muted);max-width:80ch}",
    "header .over{font-size:13px;letter-spacing:.08em;text-transform:uppercase;margin:0 0 6px}",
    "h1{font-size:34px;line-height:1.15;letter-spacing:-.015em;font-weight:680;margin:0}",
    "h2{font-size:23px;line-height:1.25;letter-spacing:-.01em;font-weight:660;margin:0 0 14px}",
    "h3{font-size:15px;line-height:1.35;font-weight:640;margin:0 0 8px}",
    "nav{font-size:14px}nav ol{list-style:none;margin:0;padding:28px 0;position:sticky;top:0}",
    "nav a{display:block;padding:4px 0;color:var(--muted);text-decoration:none}nav a:hover{color:var(--ink);text-decoration:underline}",
    "main{min-width:0;padding-bottom:64px}",
    "section{padding:34px 0 6px;border-bottom:1px solid var(--rule)}section:last-child{border:0}",
    "p{max-width:74ch;margin:0 0 10px}.none,.decided,figcaption,.notes{color:var(--muted);font-size:14px}",
    ".verdict{--c:var(--d0);background:var(--soft);border-left:5px solid var(--c);border-radius:4px;padding:22px 26px 14px;margin:0 0 22px}",
    ".verdict>p{max-width:68ch}.verdict>p:first-child{font-size:22px;line-height:1.35;font-weight:640;letter-spacing:-.01em}",
    ".verdict>p.none:first-child{font-size:18px}",
    ".verdict h3{margin:16px 0 4px}.verdict ul{margin:0 0 8px;padding-left:20px;max-width:74ch}",
    ".charts{display:flex;flex-wrap:wrap;gap:26px 24px;margin:0 0 18px}.charts:empty{display:none}",
    "figure{margin:0 0 18px;max-width:min(470px,100%);min-width:0}figcaption{overflow-wrap:anywhere}td.t:nth-child(2):last-child{overflow-wrap:anywhere}.charts figure{margin:0}.charts .table{flex:0 1 max-content;min-width:0;max-width:100%;margin:0}.charts caption{padding-top:0}",
    "figure svg{display:block;max-width:100%;height:auto;overflow:visible;color:var(--ink)}svg.narrow{display:none}",
    "figcaption{margin-top:6px;line-height:1.45;max-width:56ch}",
    ".legend{list-style:none;margin:0 0 8px;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;line-height:1.5}",
    ".kinds{color:var(--muted);margin:0 0 18px}",
    ".mark{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:7px;vertical-align:-1px;--c:var(--muted);"
    "background:var(--c);border:2px solid var(--c);print-color-adjust:exact;-webkit-print-color-adjust:exact}",
    ".mark.modelled{background:repeating-linear-gradient(135deg,var(--c) 0 2px,transparent 2px 4px)}",
    ".mark.quoted{background:none}",
    ".c0{--c:var(--d0)!important}.c1{--c:var(--d1)!important}.c2{--c:var(--d2)!important}.c3{--c:var(--d3)!important}"
    ".c4{--c:var(--d4)!important}.c5{--c:var(--d5)!important}.c6{--c:var(--d6)!important}.c7{--c:var(--d7)!important}",
    ".k0{--c:var(--k0)!important}.k1{--c:var(--k1)!important}.k2{--c:var(--k2)!important}.k3{--c:var(--k3)!important}"
    ".k4{--c:var(--k4)!important}.k5{--c:var(--k5)!important}.k6{--c:var(--k6)!important}.k7{--c:var(--k7)!important}",
    ".table{margin:0 0 20px}.scroll{overflow-x:auto}",
    "table{border-collapse:collapse;font-size:14px;line-height:1.4}",
    "caption{text-align:left;font-weight:640;font-size:15px;padding:6px 0}caption span{display:inline-block;max-width:min(100%,calc(100vw - 44px));position:sticky;left:0}",
    "th,td{padding:6px 14px 6px 0;text-align:left;vertical-align:baseline;border-bottom:1px solid var(--rule)}",
    "thead th{color:var(--muted);font-weight:500;font-size:13px;vertical-align:bottom;border-bottom:1px solid var(--muted)}",
    "tbody th{font-weight:560;max-width:44ch}th.dev{white-space:nowrap;max-width:280px;overflow:hidden;text-overflow:ellipsis}",
    "thead th{max-width:20ch}td.why,.refusal,.verdict,pre,h1,header p,summary{overflow-wrap:anywhere}",
    "td{max-width:46ch}td.t{min-width:11ch}th:last-child,td:last-child{padding-right:2px}td.why{min-width:30ch}tbody th:not(.dev){min-width:12ch}thead .mark{margin-right:5px}.n{text-align:right;white-space:nowrap}thead .n{white-space:normal}",
    "td.i{color:var(--muted);white-space:nowrap;padding-left:0;margin-left:-6px;font-size:13px}td.n:has(+td.i){padding-right:7px}",
    "td.why{color:var(--muted)}td.yes{color:var(--good)}td.no{color:var(--bad);font-weight:560;max-width:24ch}td.na{color:var(--muted)}td.yes,td.na,td.won{white-space:nowrap}",
    "td.won{border-left:4px solid var(--c);padding-left:10px;background:var(--soft)}",
    "sup{font-size:11px;line-height:0;margin-left:2px}.charts .notes{width:0;min-width:100%}.notes{margin:6px 0 0;padding-left:22px;font-size:13px;max-width:90ch}",
    "pre{background:var(--soft);padding:14px 16px;border-radius:4px;overflow-x:auto;font:13px/1.5 ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu "
    "Sans Mono',monospace;overflow-wrap:normal}code{font:.92em ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}",
    "details{margin:0 0 10px}summary{cursor:pointer;padding:4px 0;font-size:14px}",
    ".d{white-space:nowrap}",
    ".refusal{font-size:14px;white-space:pre-line}",
    "footer{grid-column:1/-1;border-top:1px solid var(--rule);padding:18px 0 40px;color:var(--muted);font-size:13px}",
    "@media (max-width:960px){.page{display:block}nav ol{position:static;display:flex;flex-wrap:wrap;gap:0 16px;padding:12px 0 0}nav a{padding:6px 0}}",
    "@media (max-width:600px){.page{padding:0 22px}h1{font-size:27px}header{padding:28px 0 16px}.verdict{padding:16px 16px 8px}"
    ".verdict>p:first-child{font-size:19px}svg.wide{display:none}svg.narrow{display:block}}",
    "@media print{:root{" LIGHT ";--paper:#fff;color-scheme:light}body{font-size:11pt}.page{display:block;padding:0}nav,.skip{display:none}"
    "section{break-inside:auto}figure,tr,.verdict{break-inside:avoid}h2,h3,caption{break-after:avoid}.scroll{overflow:visible}"
    "table{font-size:8pt}th,td{padding-right:7px}td.i{font-size:7.5pt}thead th{font-size:8pt}svg.wide{display:block}svg.narrow{display:none}"
    "details::details-content{content-visibility:visible}.charts{gap:14px}.charts figure,section>figure{flex:0 1 calc(50% - 7px);max-width:340px}.table{break-inside:avoid}.verdict{border:1px solid var(--rule);border-left:5px solid var(--c)}}",
    NULL};
