/** Takes folders of a local pool away, as a backend or a disk that fails would. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

/** From here on nothing can be put into these folders of `pool` or read there. @returns what gives them back */
export function blockFolders(pool: string, kinds: readonly string[]): () => void {
  const places = kinds.map((kind) => join(pool, kind));
  for (const place of places) {
    mkdirSync(place, { recursive: true });
    renameSync(place, `${place}-away`);
    // It leads to itself.
    symlinkSync(basename(place), place);
  }
  return () => {
    for (const place of places) {
      rmSync(place);
      renameSync(`${place}-away`, place);
    }
  };
}
