// The panel's document: a strict policy, one script with a nonce, one style sheet. Nothing from disk is ever written into it.

export interface PanelHtmlParts {
  /** Fresh for each document. */
  readonly nonce: string;
  /** `webview.cspSource`. */
  readonly cspSource: string;
  readonly script: string;
  readonly style: string;
  /** BCP 47, from `vscode.env.language`. */
  readonly language: string;
}

export function panelHtml({ nonce, cspSource, script, style, language }: PanelHtmlParts): string {
  const policy = ['default-src \'none\'', `script-src 'nonce-${nonce}'`, `style-src ${cspSource}`, `font-src ${cspSource}`].join('; ');
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
  <div id="app"></div>
  <script nonce="${escapeAttribute(nonce)}" src="${escapeAttribute(script)}"></script>
</body>
</html>
`;
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
