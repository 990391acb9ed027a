// The variables that VS Code sets on a webview's root, of its three default themes, so that the panel can be looked at outside VS Code.
// From theme-defaults/themes/{dark_modern,light_modern,hc_black}.json (MIT, Microsoft) and the colour registry's defaults.

export interface Theme {
  /** What VS Code puts on the webview's body. */
  readonly bodyClass: string;
  readonly variables: Readonly<Record<string, string>>;
}

const FONTS = {
  'font-family': 'Inter, system-ui, "Ubuntu", "Droid Sans", sans-serif',
  'font-size': '13px',
  'font-weight': 'normal',
  'editor-font-family': '"JetBrains Mono", Consolas, "DejaVu Sans Mono", monospace',
};

export const THEMES = {
  dark: {
    bodyClass: 'vscode-dark',
    variables: {
      ...FONTS,
      foreground: '#cccccc', 'icon-foreground': '#cccccc', focusBorder: '#0078d4', 'editor-background': '#1f1f1f', 'editorWidget-background': '#202020',
      'widget-border': '#313131', 'panel-border': '#2b2b2b', 'panelTitle-activeBorder': '#0078d4', 'panelTitle-activeForeground': '#cccccc',
      'button-background': '#0078d4', 'button-foreground': '#ffffff', 'button-hoverBackground': '#026ec1', 'button-border': 'rgba(255, 255, 255, 0.1)',
      'button-secondaryBackground': '#313131', 'button-secondaryForeground': '#cccccc', 'button-secondaryHoverBackground': '#3c3c3c',
      'checkbox-background': '#313131', 'checkbox-border': '#3c3c3c', 'list-hoverBackground': '#2a2d2e', 'toolbar-hoverBackground': 'rgba(90, 93, 94, 0.31)',
      'progressBar-background': '#0078d4', 'textLink-foreground': '#4daafc', 'textCodeBlock-background': '#2b2b2b',
      'editorError-foreground': '#f14c4c', 'editorWarning-foreground': '#cca700', 'testing-iconPassed': '#73c991',
    },
  },
  light: {
    bodyClass: 'vscode-light',
    variables: {
      ...FONTS,
      foreground: '#3b3b3b', 'icon-foreground': '#3b3b3b', focusBorder: '#005fb8', 'editor-background': '#ffffff', 'editorWidget-background': '#f8f8f8',
      'widget-border': '#e5e5e5', 'panel-border': '#e5e5e5', 'panelTitle-activeBorder': '#005fb8', 'panelTitle-activeForeground': '#3b3b3b',
      'button-background': '#005fb8', 'button-foreground': '#ffffff', 'button-hoverBackground': '#0258a8', 'button-border': 'rgba(0, 0, 0, 0.1)',
      'button-secondaryBackground': '#e5e5e5', 'button-secondaryForeground': '#3b3b3b', 'button-secondaryHoverBackground': '#cccccc',
      'checkbox-background': '#f8f8f8', 'checkbox-border': '#cecece', 'list-hoverBackground': '#f2f2f2', 'toolbar-hoverBackground': 'rgba(184, 184, 184, 0.31)',
      'progressBar-background': '#005fb8', 'textLink-foreground': '#005fb8', 'textCodeBlock-background': '#f8f8f8',
      'editorError-foreground': '#e51400', 'editorWarning-foreground': '#bf8803', 'testing-iconPassed': '#388a34',
    },
  },
  hc: {
    bodyClass: 'vscode-high-contrast',
    variables: {
      ...FONTS,
      contrastBorder: '#6fc3df', contrastActiveBorder: '#f38518',
      foreground: '#ffffff', 'icon-foreground': '#ffffff', focusBorder: '#f38518', 'editor-background': '#000000', 'editorWidget-background': '#0c141f',
      'widget-border': '#6fc3df', 'panel-border': '#6fc3df', 'panelTitle-activeBorder': '#6fc3df', 'panelTitle-activeForeground': '#ffffff',
      'button-background': '#000000', 'button-foreground': '#ffffff', 'button-hoverBackground': '#000000', 'button-border': '#6fc3df',
      'button-secondaryBackground': '#000000', 'button-secondaryForeground': '#ffffff', 'button-secondaryHoverBackground': '#000000',
      'checkbox-background': '#000000', 'checkbox-border': '#6fc3df', 'list-hoverBackground': 'rgba(255, 255, 255, 0.1)',
      'progressBar-background': '#6fc3df', 'textLink-foreground': '#21a6ff', 'textCodeBlock-background': '#000000',
      'editorError-foreground': '#f48771', 'editorWarning-foreground': '#ffd370', 'testing-iconPassed': '#73c991',
    },
  },
} as const satisfies Readonly<Record<string, Theme>>;

export type ThemeName = keyof typeof THEMES;
