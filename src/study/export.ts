// A study as a file for others: CSV for programs, Markdown and LaTeX for papers, HTML for people. Names of folders are hostile everywhere: each format
// has its own way to make them text and nothing else.
import { formatAccuracy } from '../metrics/format.js';
import type { Localiser } from '../protocol/localiser.js';
import type { StudySnapshot } from '../protocol/study.js';
import { curvesOf, curvesSvg } from './curves.js';
import { referenceAccuracy } from './reference.js';
import { cellTexts, pairRows, referenceNote, studyColumns, studyFacts, studyRows, timesFreeze, timeText, type PairRow } from './tables.js';
import { intervalNote, studyNotes, studyVerdicts } from './verdict.js';

export const STUDY_FORMATS = ['csv', 'markdown', 'latex', 'html'] as const;
export type StudyFormat = (typeof STUDY_FORMATS)[number];

/** What a file of a format is called after its name. */
export const STUDY_EXTENSIONS: Readonly<Record<StudyFormat, string>> = { csv: '.csv', markdown: '.md', latex: '.tex', html: '.html' };

export interface StudyExportOptions {
  readonly l10n: Localiser;
  /** Puts the values of the study that Thaw grew from beside those of datasets with the same name. */
  readonly reference: boolean;
}

/** The study in a format, as UTF-8 text. */
export function exportStudy(study: StudySnapshot, format: StudyFormat, options: StudyExportOptions): string {
  switch (format) {
    case 'csv': return toCsv(study, options);
    case 'markdown': return toMarkdown(study, options);
    case 'latex': return toLatex(study, options);
    case 'html': return toHtml(study, options);
  }
}

/** One row a cell, numbers as they are: RFC 4180, UTF-8. The same in every language. */
function toCsv({ record, datasets }: StudySnapshot, { reference }: StudyExportOptions): string {
  const head = ['dataset', 'train', 'validation', 'test', 'classes', 'backbone', 'strategy', 'colour', 'recipe', 'seeds', 'mean', 'low', 'high', 'interval', 'images', 'split', 'seconds', 'features_cached', 'times_freeze', 'accuracies'];
  const rows = record.cells.map((cell) => {
    const { name = '' } = record.plan.datasets[cell.dataset] ?? {};
    const data = datasets[cell.dataset];
    return [
      name, data?.train, data?.validation, data?.test, data?.classes, cell.backbone, cell.strategy, cell.colour, record.plan.recipe, cell.seeds.length, cell.mean, cell.interval?.[0], cell.interval?.[1],
      cell.intervalBy, cell.images, cell.split, cell.seconds, cell.cached ?? false, timesFreeze({ cells: record.cells.filter(({ dataset, backbone }) => dataset === cell.dataset && backbone === cell.backbone) }, cell), cell.accuracies.join(' '), ...(reference ? [referenceAccuracy(name, cell.strategy, cell.colour)] : []),
    ];
  });
  return [[...head, ...(reference ? ['reference'] : [])], ...rows].map((row) => `${row.map(csvField).join(',')}\r\n`).join('');
}

/**
 * A spreadsheet takes text that begins so for a formula, also within quotes: an apostrophe before it makes it text.
 * OWASP, 'CSV Injection'.
 */
function csvField(value: string | number | boolean | undefined): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** GitHub's Markdown. */
function toMarkdown(study: StudySnapshot, { l10n, reference }: StudyExportOptions): string {
  const columns = studyColumns(study, l10n);
  const severalBackbones = study.record.plan.backbones.length > 1;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rows = studyRows(study, l10n);
  const accuracies = [
    line([l10n.t('Dataset'), ...(severalBackbones ? [l10n.t('Network')] : []), ...columns.map(({ name }) => name)]),
    line([':--', ...(severalBackbones ? [':--'] : []), ...columns.map(() => '--:')]),
    ...rows.map((row) => line([
      `${markdownText(row.name)}${row.facts === '' ? '' : ` (${row.facts})`}`, ...(severalBackbones ? [row.backbone] : []),
      ...row.cells.map((cell, index) => {
        const { mean, interval } = cellTexts(cell, l10n);
        const beside = row.reference[index];
        const value = row.best[index] === true ? `**${mean}**` : mean;
        return `${value}${cell.interval === undefined ? '' : ` ${interval}`}${reference && beside !== undefined ? ` / ${formatAccuracy(beside)}` : ''}`;
      }),
    ])),
  ];
  const times = [
    line([l10n.t('Time'), ...(severalBackbones ? [l10n.t('Network')] : []), ...columns.map(({ name }) => name)]),
    line([':--', ...(severalBackbones ? [':--'] : []), ...columns.map(() => '--:')]),
    ...rows.map((row) => line([markdownText(row.name), ...(severalBackbones ? [row.backbone] : []), ...row.cells.map((cell) => timeText(row, cell, l10n))])),
  ];
  const tests = pairRows(study, l10n);
  const pairs = tests.length === 0 ? [] : ['',
    line([l10n.t('Where'), l10n.t('Compared'), l10n.t('Difference'), l10n.t('95% interval'), l10n.t('p, corrected'), l10n.t('Test'), l10n.t('Verdict')]),
    line([':--', ':--', '--:', '--:', '--:', ':--', ':--']),
    ...tests.map((row) => line([markdownText(row.place), row.sides, row.difference, row.interval, row.p, testText(row), row.verdict]))];
  return `${[
    `${studyFacts(study, l10n).map(markdownText).join(', ')}.`, '', ...accuracies, '', ...times, ...pairs, '',
    ...studyVerdicts(study.record, l10n).map(({ title, text }) => `- **${title}.** ${markdownText(text)}`), '',
    ...plainNotes(study, l10n, reference).map(markdownText),
  ].join('\n').trimEnd()}\n`;
}

/** No markup, no table cell's end, no line's end. */
function markdownText(text: string): string {
  return oneLine(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll(/[\\`*_{}[\]()#+!|~>$]/g, '\\$&');
}

/** A table of the package booktabs, and the tests below it. */
function toLatex(study: StudySnapshot, { l10n, reference }: StudyExportOptions): string {
  const columns = studyColumns(study, l10n);
  const line = (cells: readonly string[]): string => `${cells.join(' & ')} \\\\`;
  const severalBackbones = study.record.plan.backbones.length > 1;
  const table = studyRows(study, l10n).flatMap((row) => [
    line([latexText(row.name), ...(severalBackbones ? [latexText(row.backbone)] : []), ...row.cells.map((cell, index) => {
      const beside = row.reference[index];
      const mean = cellTexts(cell, l10n).mean;
      return `${row.best[index] === true ? `\\textbf{${latexText(mean)}}` : latexText(mean)}${reference && beside !== undefined ? ` (${latexText(formatAccuracy(beside))})` : ''}`;
    })]),
    line([`{\\footnotesize ${latexText(row.facts)}}`, ...(severalBackbones ? [''] : []), ...row.cells.map((cell) => `{\\footnotesize ${latexText(cellTexts(cell, l10n).interval)}}`)]),
    line([`{\\footnotesize ${latexText(l10n.t('Time'))}}`, ...(severalBackbones ? [''] : []), ...row.cells.map((cell) => `{\\footnotesize ${latexText(cellTexts(cell, l10n).time)}}`)]),
  ]);
  // A column of a width breaks its lines, ragged, as they are short.
  const broken = (text: string): string => `{\\raggedright ${latexText(text)}\\par}`;
  const tests = pairRows(study, l10n).map((row) => line([broken(row.place), broken(row.sides), ...[row.difference, row.interval, row.p].map(latexText), broken(row.verdict)]));
  const notes = [...studyVerdicts(study.record, l10n).map(({ title, text }) => `${title}. ${text}`), ...plainNotes(study, l10n, reference)];
  return `${[
    '% \\usepackage{booktabs}', ...(hasOtherScripts(study) ? ['% A name needs LuaLaTeX or XeLaTeX, and a font that has its script'] : []), '\\begin{table}', '\\centering\\small\\setlength{\\tabcolsep}{4pt}',
    `\\begin{tabular}{l${severalBackbones ? 'l' : ''}${'r'.repeat(columns.length)}}`, '\\toprule',
    line([l10n.t('Dataset'), ...(severalBackbones ? [l10n.t('Network')] : []), ...columns.map(({ name }) => name)].map(latexText)), '\\midrule', ...table, '\\bottomrule', '\\end{tabular}',
    ...(tests.length === 0 ? [] : ['', '\\medskip', '\\footnotesize',
      '\\begin{tabular}{p{.15\\linewidth}p{.18\\linewidth}rrrp{.13\\linewidth}}', '\\toprule',
      line([l10n.t('Where'), l10n.t('Compared'), l10n.t('Difference'), l10n.t('95% interval'), l10n.t('p, corrected'), l10n.t('Verdict')].map(latexText)), '\\midrule', ...tests, '\\bottomrule', '\\end{tabular}']),
    `\\caption{${latexText(`${studyFacts(study, l10n).join(', ')}. ${notes.join(' ')}`)}}`, '\\end{table}',
  ].join('\n')}\n`;
}

const LATEX: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}', '{': '\\{', '}': '\\}', '$': '\\$', '&': '\\&', '#': '\\#', '%': '\\%', '_': '\\_', '^': '\\textasciicircum{}', '~': '\\textasciitilde{}',
  '−': '$-$', '–': '--', '<': '$<$', '>': '$>$', '[': '{[}', ']': '{]}', '"': '\'\'', // \textquotedbl is not in every font's encoding
};

/** Whether pdfLaTeX would stop at a character of a dataset's name. */
function hasOtherScripts({ record }: StudySnapshot): boolean {
  return record.plan.datasets.some(({ name }) => /[^\u0000-\u017f\u2010-\u2026]/.test(oneLine(name)));
}

function latexText(text: string): string {
  return oneLine(text).replaceAll(/[\\{}$&#%_^~−–<>[\]"]/g, (character) => LATEX[character] ?? character);
}

/** One file with all that it needs: no script, nothing from elsewhere. */
function toHtml(study: StudySnapshot, { l10n, reference }: StudyExportOptions): string {
  const { record } = study;
  const columns = studyColumns(study, l10n);
  const head = `<tr><th scope="col">${htmlText(l10n.t('Dataset'))}</th>${columns.map(({ name }) => `<th scope="col" class="n">${htmlText(name)}</th>`).join('')}</tr>`;
  const severalBackbones = record.plan.backbones.length > 1;
  const rows = studyRows(study, l10n).map((row) => `<tr><th scope="row">${htmlText(row.name)}<small>${htmlText(row.facts)}${severalBackbones ? `<br>${htmlText(row.backbone)}` : ''}</small></th>${row.cells.map((cell, index) => {
    const { mean, interval, method } = cellTexts(cell, l10n);
    const time = timeText(row, cell, l10n);
    const beside = row.reference[index];
    return `<td class="n"><span${row.best[index] === true ? ' class="best"' : ''}>${htmlText(mean)}</span><small>${htmlText(interval)}<br>${htmlText(method)}<br>${htmlText(time)}${reference && beside !== undefined ? `<br>${htmlText(l10n.t('reference {0}', formatAccuracy(beside)))}` : ''}</small></td>`;
  }).join('')}</tr>`).join('\n');
  const tests = pairRows(study, l10n);
  const pairs = tests.length === 0 ? '' : `<h2>${htmlText(l10n.t('Tests'))}</h2>
<table><thead><tr>${[l10n.t('Where'), l10n.t('Compared'), l10n.t('Difference'), l10n.t('95% interval'), l10n.t('p, corrected'), l10n.t('Test'), l10n.t('Verdict')].map((name) => `<th scope="col">${htmlText(name)}</th>`).join('')}</tr></thead><tbody>
${tests.map((row) => `<tr><th scope="row">${htmlText(row.place)}</th>${[row.sides, row.difference, row.interval, row.p, testText(row), row.verdict].map((text) => `<td>${htmlText(text)}</td>`).join('')}</tr>`).join('\n')}
</tbody></table>`;
  const charts = record.plan.datasets.map(({ name }, dataset) => record.plan.backbones.map((backbone) => {
    const curves = curvesOf(study, dataset, backbone);
    if (curves.length === 0) return '';
    const title = severalBackbones ? `${name}, ${backbone}` : name;
    return `<figure><figcaption>${htmlText(title)}</figcaption>${curvesSvg(curves, htmlText(l10n.t('Validation accuracy by epoch: {0}', title)))}</figure>`;
  }).join('')).join('\n');
  const legend = columns.map(({ strategy, colour, name }) => `<li><svg width="28" height="8" aria-hidden="true"><line x1="0" y1="4" x2="28" y2="4" class="${strategy}${colour === 'gray' ? ' gray' : ''}"/></svg> ${htmlText(name)}</li>`).join('');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>${htmlText(l10n.t('Study'))}: ${htmlText(record.plan.datasets.map(({ name }) => name).join(', '))}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${htmlText(l10n.t('Study'))}</h1>
<p>${htmlText(studyFacts(study, l10n).join(', '))}${study.device === undefined ? '' : `. ${htmlText(study.device)}`}. ${htmlText(record.createdAt.slice(0, 10))}.</p>
${studyVerdicts(record, l10n).map(({ title, text }) => `<p><strong>${htmlText(title)}.</strong> ${htmlText(text)}</p>`).join('\n')}
${charts === '' ? '' : `<ul class="legend">${legend}</ul><div class="charts">${charts}</div>`}
<table><thead>${head}</thead><tbody>
${rows}
</tbody></table>
${pairs}
${notesOf(study, l10n, reference).map((note) => `<p><small>${htmlText(note)}</small></p>`).join('\n')}
</body>
</html>
`;
}

/** Okabe and Ito's colours, as in the panel. */
const STYLE = `body{font:14px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%;margin:1rem 0;font-variant-numeric:tabular-nums}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid #ddd;font-weight:400}
thead th{font-weight:600}.n{text-align:right}.best{font-weight:600}small{display:block;color:#555;font-size:12px}.charts{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0;width:240px}figcaption{font-weight:600}
.legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:1.2rem}svg text{font-size:11px;fill:#555}svg .grid{stroke:#e5e5e5}svg .axis{stroke:#999}
.freeze,.finetune,.scratch{fill:none;stroke-width:2}.freeze{stroke:#0072b2}.finetune{stroke:#d55e00}.scratch{stroke:#a94f85}.gray{stroke-dasharray:7 4}`;

function htmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll('\'', '&#39;').replaceAll(CONTROL, ' ');
}

/** Control characters, and those that turn the direction of text. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/g;

function oneLine(text: string): string {
  return text.replaceAll(CONTROL, ' ');
}

function testText({ test, bySeed }: PairRow): string {
  return bySeed === undefined ? test : `${test}; ${bySeed}`;
}

/** The notes of a table whose cells don't say how their intervals were made. */
function plainNotes(study: StudySnapshot, l10n: Localiser, reference: boolean): string[] {
  return [intervalNote(study.record, l10n) ?? [], notesOf(study, l10n, reference)].flat();
}

function notesOf(study: StudySnapshot, l10n: Localiser, reference: boolean): string[] {
  const any = reference && studyRows(study, l10n).some((row) => row.reference.some((value) => value !== undefined));
  return [...studyNotes(study.record, l10n), ...(any ? [referenceNote(l10n)] : [])];
}
