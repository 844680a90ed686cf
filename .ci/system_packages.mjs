// Debian packages that building and testing need. As root they are installed, else they are named.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { findClang } from './clang.mjs';
import { run } from './commands.mjs';

/** A package, and a program of it that shows that it is there on systems without dpkg; or whatever else `there` looks for. */
const forBuilding = [
  { package: 'g++', program: 'g++' },
  { package: 'make', program: 'make' },
  { package: 'python3', program: 'python3' },
  { package: 'util-linux', program: 'flock' },
  { package: 'liblz4-dev', program: null },
  { package: 'libzstd-dev', program: null },
];
const forTests = [
  { package: 'libssl3', program: null },
  { package: 'qemu-system-x86', program: 'qemu-system-x86_64' },
  { package: 'qemu-utils', program: 'qemu-img' },
  { package: 'xz-utils', program: 'xz' },
  { package: 'nbdkit', program: 'nbdkit' },
  { package: 'nbd-server', program: 'nbd-server' },
  { package: 'nbd-client', program: 'nbd-client' },
  { package: 'openssl', program: 'openssl' },
  { package: 'libnbd-bin', program: 'nbdinfo' },
  { package: 'python3-libnbd', program: null },
  { package: 'python3-botocore', program: null },
  { package: 'python3-boto3', program: null },
  { package: 'awscli', program: 'aws' },
  { package: 's3cmd', program: 's3cmd' },
  { package: 'rclone', program: 'rclone' },
  { package: 'restic', program: 'restic' },
  { package: 'curl', program: 'curl' },
  { package: 'fio', program: 'fio' },
  { package: 'busybox-static', program: 'busybox' },
  { package: 'cpio', program: 'cpio' },
  { package: 'e2fsprogs', program: 'mke2fs' },
  { package: 'mount', program: 'mount' },
  { package: 'bsdutils', program: 'script' },
  { package: 'fish', program: 'fish' },
  { package: 'zsh', program: 'zsh' },
  { package: 'clang', program: 'clang++', there: () => findClang() !== null },
  { package: 'ceph-mon', program: 'ceph-mon' },
  { package: 'ceph-osd', program: 'ceph-osd' },
  { package: 'ceph-mgr', program: 'ceph-mgr' },
  { package: 'ceph-common', program: 'ceph' },
  { package: 'radosgw', program: 'radosgw' },
  { package: 'librados-dev', program: null },
  { package: 'glusterfs-server', program: 'glusterd' },
  { package: 'libglusterfs-dev', program: null },
  { package: 'nfs-ganesha', program: 'ganesha.nfsd' },
  { package: 'nfs-ganesha-vfs', program: null },
  { package: 'libnfs-dev', program: null },
  { package: 'libclang-rt-14-dev', program: null, there: () => findClang() !== null },
];

/** Installs what is missing, or throws an Error that names it with the command that brings it. */
export async function ensureSystemPackages({ tests }) {
  const wanted = tests ? [...forBuilding, ...forTests] : forBuilding;
  const missing = await findMissing(wanted);
  if (missing.length === 0) return;
  const command = `apt-get install --yes --no-install-recommends ${missing.join(' ')}`;
  if (process.getuid?.() !== 0 || !hasProgram('apt-get')) {
    throw new Error(`these Debian packages are missing: ${missing.join(' ')}\n  install them with: sudo ${command}`);
  }
  console.error(`skerry: installing ${missing.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const update = await run('apt-get', ['update', '--quiet'], { env, quiet: true });
  const install = await run('apt-get', ['install', '--quiet', '--yes', '--no-install-recommends', ...missing], {
    env,
    quiet: true,
  });
  if (install.status !== 0) throw new Error(`${update.status === 0 ? '' : update.output}${install.output}\n${command} failed`);
}

async function findMissing(wanted) {
  if (!hasProgram('dpkg-query'))
    return wanted.filter((entry) => entry.program !== null && !hasProgram(entry.program)).map((entry) => entry.package);
  const names = wanted.map((entry) => entry.package);
  const { output } = await run(
    'dpkg-query',
    ['--show', '--showformat', '${db:Status-Status} ${Package} ${Provides}\n', ...names],
    { quiet: true },
  );
  const installed = new Set();
  for (const line of output.split('\n')) {
    const [status, ...provided] = line.split(/[\s,]+/);
    if (status === 'installed') for (const name of provided) installed.add(name);
  }
  // A program built by hand, or a package of another name (libssl3t64), is as good.
  return wanted
    .filter((entry) => !installed.has(entry.package))
    .filter((entry) => !(entry.there ?? (() => entry.program !== null && hasProgram(entry.program)))())
    .map((entry) => entry.package);
}

function hasProgram(name) {
  const path = `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`;
  return path.split(delimiter).some((directory) => directory !== '' && existsSync(join(directory, name)));
}
