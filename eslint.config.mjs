// Strictest typed rules for TypeScript, a short list for the scripts, and the directions in which modules may import each other.
import tseslint from 'typescript-eslint';

/** Folder of src → the folders of src that it may import from. */
const IMPORTS = {
  protocol: [],
  metrics: ['protocol'],
  storage: ['protocol'],
  advice: ['metrics', 'protocol', 'runs', 'storage'],
  engine: ['protocol', 'storage'],
  network: ['engine', 'protocol', 'storage'],
  dataset: ['metrics', 'protocol', 'storage'],
  runs: ['metrics', 'protocol', 'storage'],
  training: ['dataset', 'engine', 'metrics', 'network', 'protocol', 'storage'],
  study: ['metrics', 'protocol', 'runs', 'storage', 'training'],
  trainer: ['advice', 'dataset', 'engine', 'metrics', 'network', 'protocol', 'runs', 'storage', 'study', 'training'],
  webview: ['advice', 'metrics', 'protocol', 'runs', 'study'],
  // Of network only the weights' place, of training only the recipes: the build refuses a host that would load tfjs.
  extension: ['advice', 'dataset', 'engine', 'metrics', 'network', 'protocol', 'runs', 'storage', 'study', 'training'],
};
const FOLDERS = Object.keys(IMPORTS);
const MAY_USE_TFJS = ['engine', 'network', 'training'];

const importRules = FOLDERS.map((folder) => {
  const forbidden = FOLDERS.filter((other) => other !== folder && !IMPORTS[folder].includes(other));
  const paths = folder === 'extension' ? [] : [{ name: 'vscode', message: 'Only src/extension imports vscode.' }];
  const patterns = [
    ...(forbidden.length === 0 ? [] : [{
      regex: `^(?:\\.\\./)+(?!\\.\\./)(?:${forbidden.join('|')})/`,
      message: `src/${folder} may import ${IMPORTS[folder].length === 0 ? 'nothing of ours' : IMPORTS[folder].join(', ')}.`,
    }]),
    ...(MAY_USE_TFJS.includes(folder) ? [] : [{
      regex: '^@tensorflow/',
      message: `Only ${MAY_USE_TFJS.map((name) => `src/${name}`).join(', ')} import tfjs.`,
    }]),
    { regex: '(?:^|/)(?:test|bench|scripts)/', message: 'The product imports nothing of its tests and scripts.' },
  ];
  return {
    files: [`src/${folder}/**/*.ts`],
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { paths, patterns }] },
  };
});

export default tseslint.config(
  { ignores: ['node_modules/', 'dist/', 'out/', '.sample/', '.vscode-hosts/', '.bench/', '**/.thaw/', '.vscode-test/', '.node/'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      'no-eval': 'error',
      'no-restricted-syntax': ['error', { selector: 'ExportDefaultDeclaration', message: 'Export by name.' }],
      'prefer-const': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false }],
      // Numbers in messages read well as they are.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `onClick: () => close()` says no more with braces.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // tsconfig's noPropertyAccessFromIndexSignature asks for the very brackets that the two forbid by default.
      '@typescript-eslint/dot-notation': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  ...importRules,
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      'no-console': 'off',
      // node:test's test() and describe() return promises that the runner itself awaits.
      '@typescript-eslint/no-floating-promises': ['error', {
        allowForKnownSafeCalls: [{ from: 'package', name: ['test', 'it', 'describe', 'suite', 'before', 'after', 'beforeEach', 'afterEach'], package: 'node:test' }],
      }],
      // A test looks where it has just made sure that something is.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['**/*.mjs'],
    extends: [tseslint.configs.base],
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-const-assign': 'error',
      'no-dupe-keys': 'error',
      'no-shadow-restricted-names': 'error',
      'no-undef': ['error', { typeof: true }],
      'no-unreachable': 'error',
      'no-unsafe-finally': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
    },
    languageOptions: {
      globals: Object.fromEntries([
        'AbortController', 'AbortSignal', 'Buffer', 'URL', 'URLSearchParams', 'clearInterval', 'clearTimeout', 'console', 'fetch', 'performance',
        'process', 'queueMicrotask', 'setInterval', 'setTimeout', 'structuredClone', 'TextDecoder', 'TextEncoder',
      ].map((name) => [name, 'readonly'])),
    },
  },
);
