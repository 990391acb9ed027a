// Files that are either the old ones or the new ones, whatever happens in between.
import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import path from 'node:path';

/**
 * Writes a file whole: a temporary file beside it, fsync, rename. The target is replaced, never followed when it is a link.
 * On an error the old file stays and the temporary one is removed.
 */
export async function writeFileAtomic(file: string, content: string | Uint8Array, options: { mode?: number; sync?: boolean } = {}): Promise<void> {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
  const handle = await open(temporary, 'wx', options.mode ?? 0o666);
  try {
    try {
      await handle.writeFile(content);
      if (options.sync !== false) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}
