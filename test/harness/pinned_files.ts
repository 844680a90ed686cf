/** Files whose pages stay in the page cache for as long as a test needs them there, however eager the host is to have its memory back. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const script = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
PROT_READ, MAP_SHARED = 1, 1
for path in sys.argv[1:]:
    file = os.open(path, os.O_RDONLY)
    size = os.fstat(file).st_size
    at = libc.mmap(None, size, PROT_READ, MAP_SHARED, file, 0)
    if libc.mlock(at, size) != 0:
        sys.exit("mlock: " + os.strerror(ctypes.get_errno()))
print("pinned", flush=True)
sys.stdin.read()
`;

export class PinnedFiles {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Reads them where they are not there yet. Needs root, or a limit that allows it. */
  static async pin(paths: readonly string[]): Promise<PinnedFiles> {
    const child = spawn('/usr/bin/python3', ['-c', script, ...paths], { stdio: ['pipe', 'pipe', 'inherit'] });
    const first = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    if (first.done === true) throw new Error('the files could not be pinned');
    return new PinnedFiles(child);
  }

  async release(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin?.end();
    await gone;
  }
}
