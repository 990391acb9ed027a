// The panel's document: a strict policy, one script with a nonce, one style sheet. Of what is on disk only the translations are written into
// it, as the value of an attribute. Pictures come as data, made anew by the trainer: no file of the workspace is shown as it is.
import type { Translations } from '../protocol/localiser.js';

export interface PanelHtmlParts {
  /** Fresh for each document. */
  readonly nonce: string;
  /** `webview.cspSource`. */
  readonly cspSource: string;
  readonly script: string;
  readonly style: string;
  /** BCP 47, from `vscode.env.language`. */
  readonly language: string;
  /** `vscode.l10n.bundle`; undefined in English. */
  readonly words: Translations | undefined;
}

export function panelHtml({ nonce, cspSource, script, style, language, words }: PanelHtmlParts): string {
  const policy = ['default-src \'none\'', `script-src 'nonce-${nonce}'`, `style-src ${cspSource}`, `font-src ${cspSource}`, 'img-src data:'].join('; ');
  return `<!DOCTYPE html>
<html lang="${escapeAttribute(language)}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta http-equiv="Content-Security-Policy" content="${escapeAttribute(policy)}">
  <link rel="stylesheet" href="${escapeAttribute(style)}">
  <title>Thaw</title>
</head>
<body>
  <div id="app"${words === undefined ? '' : ` data-words="${escapeAttribute(JSON.stringify(words))}"`}></div>
  <script nonce="${escapeAttribute(nonce)}" src="${escapeAttribute(script)}"></script>
</body>
</html>
`;
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
