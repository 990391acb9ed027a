// A weights file of whichever kind: which one is seen from its first bytes, not from its name.
import { ThawError } from '../../protocol/errors.js';
import { readPyTorchFile } from './pytorchFile.js';
import { readSafetensors } from './safetensors.js';
import type { StateDict } from './stateDict.js';

/** What `DataParallel` and `DistributedDataParallel` put before every name. */
const PARALLEL_PREFIX = 'module.';

/**
 * Reads the bytes of a PyTorch checkpoint or a safetensors file. The prefix `module.`, where every name has it, is left off.
 * @throws ThawError `bad-checkpoint` for anything else, in time and memory bounded by the file's length
 */
export async function readWeightsFile(bytes: Uint8Array): Promise<StateDict> {
  const state = await readByKind(bytes);
  if (state.size === 0 || ![...state.keys()].every((name) => name.startsWith(PARALLEL_PREFIX))) return state;
  return new Map([...state].map(([name, tensor]) => [name.slice(PARALLEL_PREFIX.length), tensor]));
}

function readByKind(bytes: Uint8Array): StateDict | Promise<StateDict> {
  // Eight bytes of length, then an object of JSON; PyTorch's layouts have other bytes there. A zip archive, or the opcode PROTO.
  if (bytes[8] === 0x7b) return readSafetensors(bytes).state;
  if ((bytes[0] === 0x50 && bytes[1] === 0x4b) || bytes[0] === 0x80) return readPyTorchFile(bytes);
  throw new ThawError('run', 'bad-checkpoint', 'This is neither a PyTorch checkpoint nor a safetensors file: it begins like none', 'Use a .pth that torch.save wrote, or a .safetensors file');
}
