// Compiles tfjs-node's N-API addon against the headers of TensorFlow's wheel: dist/tfjs_binding.node. Skips when nothing that goes in has changed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import * as esbuild from 'esbuild';
import { isMain, main, ROOT, StepError } from './steps.mjs';

const OUTPUT = path.join(ROOT, 'dist', 'tfjs_binding.node');
const BINDING = path.join(ROOT, 'node_modules', '@tensorflow', 'tfjs-node-gpu', 'binding');
const SOURCES = ['tfjs_backend.cc', 'tfjs_binding.cc'];
/** Thaw's own: an operation, and what stands before two calls of TensorFlow's. */
const OWN_SOURCES = ['momentumKernel.cc', 'blockedSignals.cc'].map((file) => path.join(ROOT, 'src', 'engine', file));
const NODE_API = path.join(ROOT, 'node_modules', 'node-api-headers', 'include');
const COMPILER = process.env.CXX || 'g++';
const FLAGS = ['-std=c++17', '-O2', '-fPIC', '-pthread', '-shared', '-s', '-DNAPI_VERSION=8', '-Wl,-rpath,$ORIGIN', '-Wl,--no-as-needed', '-Wl,--wrap=TFE_NewContext', '-Wl,--wrap=TFE_Execute'];

/** GCC 11 and later call this function of their own C++ library, which the older systems that TensorFlow runs on lack: the addon brings it. */
const COMPATIBILITY = `#include <new>
namespace std {
__attribute__((visibility("hidden"))) void __throw_bad_array_new_length() { throw bad_array_new_length(); }
}
`;

/**
 * glibc maps a large buffer anew at every allocation and unmaps it at every release; a third of a forward pass went into the page faults that
 * follow. Once the addon is loaded the process keeps such memory: an image took 27 to 30 CPU-ms instead of 41 to 44, at no higher peak.
 * glibc before 2.35 refuses so high a threshold; there no allocation is mapped.
 */
const ALLOCATOR = `#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
namespace {
struct KeepMemory {
  KeepMemory() {
    if (mallopt(M_MMAP_THRESHOLD, 1 << 30) == 0) mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
  }
} keepMemory;
}
#endif
`;

/**
 * tfjs-node sets no list of strings or types as an attribute, and TensorFlow's fused convolutions name what they fuse by such lists. With these
 * its addon does. Each goes in at the head of the case for a single value.
 */
const LIST_ATTRIBUTES = [
  {
    at: '    case TF_ATTR_STRING: {\n',
    code: `      if (IsArray(env, nstatus, &js_value)) {
        uint32_t count;
        nstatus = napi_get_array_length(env, js_value, &count);
        ENSURE_NAPI_OK(env, nstatus);
        std::vector<std::string> strings(count);
        std::vector<const void *> starts(count);
        std::vector<size_t> lengths(count);
        for (uint32_t i = 0; i < count; ++i) {
          napi_value element;
          nstatus = napi_get_element(env, js_value, i, &element);
          ENSURE_NAPI_OK(env, nstatus);
          nstatus = GetStringParam(env, element, strings[i]);
          ENSURE_NAPI_OK(env, nstatus);
          starts[i] = strings[i].data();
          lengths[i] = strings[i].size();
        }
        TFE_OpSetAttrStringList(tfe_op, attr_name, starts.data(), lengths.data(), static_cast<int>(count));
        break;
      }
`,
  },
  {
    at: '    case TF_ATTR_TYPE: {\n',
    code: `      if (IsArray(env, nstatus, &js_value)) {
        uint32_t count;
        nstatus = napi_get_array_length(env, js_value, &count);
        ENSURE_NAPI_OK(env, nstatus);
        std::vector<TF_DataType> types(count);
        for (uint32_t i = 0; i < count; ++i) {
          napi_value element;
          nstatus = napi_get_element(env, js_value, i, &element);
          ENSURE_NAPI_OK(env, nstatus);
          nstatus = napi_get_value_int32(env, element, reinterpret_cast<int32_t *>(&types[i]));
          ENSURE_NAPI_OK(env, nstatus);
        }
        TFE_OpSetAttrTypeList(tfe_op, attr_name, types.data(), static_cast<int>(count));
        break;
      }
`,
  },
];

/**
 * tfjs-node makes TensorFlow's context without a configuration, and a cap on a GPU's memory is said nowhere else. The variable holds a serialized
 * ConfigProto in hexadecimal digits (src/engine/contextConfig.ts).
 */
const CONTEXT_CONFIG = [
  {
    at: '  TFE_ContextOptions *tfe_options = TFE_NewContextOptions();\n',
    code: `  if (const char *digits = std::getenv("THAW_TENSORFLOW_CONFIG")) {
    std::string config;
    for (; digits[0] != 0 && digits[1] != 0; digits += 2) {
      config.push_back(static_cast<char>(std::strtol(std::string(digits, 2).c_str(), nullptr, 16)));
    }
    TFE_ContextOptionsSetConfig(tfe_options, config.data(), config.size(), tf_status.status);
    if (TF_GetCode(tf_status.status) != TF_OK) {
      NAPI_THROW_ERROR(env, "TensorFlow refuses its configuration");
    }
  }
`,
  },
  { at: '#include "tfjs_backend.h"\n', code: '#include <cstdlib>\n#include <string>\n' },
];

/**
 * Builds the addon unless dist/ holds the one of the same sources, headers and flags: its build id is the hash of all that goes in.
 * Needs a C++ compiler, and TensorFlow's wheel once: a fetched wheel stays in the cache for the set-up that follows.
 */
export async function buildAddon() {
  const engine = await loadEngineModules();
  engine.pinsFor(); // an unsupported platform says so before anything is fetched
  const hash = inputsHash(engine.TENSORFLOW_VERSION);
  if (fs.existsSync(OUTPUT) && fs.readFileSync(OUTPUT).includes(Buffer.from(hash, 'hex'))) return;
  const include = await engine.provideHeaders({ onProgress: progressLine() }).catch((error) => {
    throw error.name === 'ThawError' ? new StepError(`${error.message}. ${error.next}.`) : error;
  });
  fs.mkdirSync(path.dirname(OUTPUT), { recursive: true });
  const work = fs.mkdtempSync(path.join(path.dirname(OUTPUT), '.addon-'));
  try {
    // The libraries themselves aren't needed to link, only their names: empty ones stand in.
    const empty = path.join(work, 'empty.cc');
    fs.writeFileSync(empty, '');
    const libraries = [];
    for (const file of engine.LIBRARY_FILES) {
      const library = path.join(work, file);
      await compile(['-shared', '-fPIC', `-Wl,-soname,${file}`, empty, '-o', library]);
      libraries.push(library);
    }
    const compatibility = path.join(work, 'compatibility.cc');
    fs.writeFileSync(compatibility, COMPATIBILITY);
    const allocator = path.join(work, 'allocator.cc');
    fs.writeFileSync(allocator, ALLOCATOR);
    const sources = SOURCES.map((file) => path.join(BINDING, file));
    const extended = path.join(work, SOURCES[0]);
    fs.writeFileSync(extended, extendedSource(sources[0]));
    sources[0] = extended;
    const built = path.join(work, path.basename(OUTPUT));
    await compile([
      ...FLAGS, `-Wl,--build-id=0x${hash}`, `-I${BINDING}`, `-I${path.join(BINDING, '..')}`, `-I${include}`, `-I${NODE_API}`,
      ...sources, ...OWN_SOURCES, compatibility, allocator, ...libraries, '-o', built,
    ]);
    fs.renameSync(built, OUTPUT);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

function extendedSource(file) {
  let text = fs.readFileSync(file, 'utf8');
  for (const { at, code } of [...LIST_ATTRIBUTES, ...CONTEXT_CONFIG]) {
    if (text.split(at).length !== 2) throw new StepError(`${file} is not the one of tfjs-node-gpu 4.22.0, which this build extends. Run npm ci.`);
    text = text.replace(at, () => at + code);
  }
  return text;
}

/** The product's own engine modules, which are TypeScript. */
async function loadEngineModules() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-build-'));
  try {
    const outfile = path.join(folder, 'engine.cjs');
    await esbuild.build({
      stdin: { contents: "export * from './src/engine/headers.js'; export * from './src/engine/pins.js';", resolveDir: ROOT },
      bundle: true, platform: 'node', format: 'cjs', target: 'node20', outfile, logLevel: 'warning',
    });
    return createRequire(import.meta.url)(outfile);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function inputsHash(tensorflowVersion) {
  const hash = createHash('sha1'); // as long as a build id is
  hash.update(JSON.stringify([tensorflowVersion, FLAGS, COMPATIBILITY, ALLOCATOR, LIST_ATTRIBUTES, CONTEXT_CONFIG, process.platform, process.arch]));
  for (const file of OWN_SOURCES) hash.update(fs.readFileSync(file));
  for (const folder of [BINDING, NODE_API]) {
    for (const file of fs.readdirSync(folder).sort()) hash.update(file).update(fs.readFileSync(path.join(folder, file)));
  }
  return hash.digest('hex');
}

function progressLine() {
  let shown = -1;
  return ({ what, doneBytes, totalBytes }) => {
    const percent = Math.floor((100 * doneBytes) / totalBytes);
    if (percent === shown || (!process.stdout.isTTY && percent % 10 !== 0)) return;
    shown = percent;
    const text = `  ${what}: ${Math.round(doneBytes / 1e6)} of ${Math.round(totalBytes / 1e6)} MB`;
    process.stdout.write(process.stdout.isTTY ? `\r${text}${percent === 100 ? '\n' : ''}` : `${text}\n`);
  };
}

async function compile(args) {
  const child = spawn(COMPILER, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk; });
  const code = await new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new StepError(
      error.code === 'ENOENT'
        ? `The C++ compiler ${COMPILER} is not on this machine. Install it (Debian and Ubuntu: apt install g++), or name another one by CXX.`
        : `${COMPILER} could not be started: ${error.message}`,
    )));
    child.once('close', resolve);
  });
  if (code !== 0) throw new StepError(`${COMPILER} ended with ${code}:\n${output.slice(-4000)}`);
}

if (isMain(import.meta.url)) await main(buildAddon);
