// Bindings of drivers to C libraries of their backends: each a target of its own in binding.gyp, built where the library's
// headers are, so that a machine without them builds and runs everything else.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { root } from './paths.mjs';

/** `header` shows that the Debian package is there. */
export const driverAddons = [
  { driver: 'rados', header: 'rados/librados.h', package: 'librados-dev' },
  { driver: 'gluster', header: 'glusterfs/api/glfs.h', package: 'libglusterfs-dev' },
  { driver: 'nfs', header: 'nfsc/libnfs.h', package: 'libnfs-dev' },
];

const includeFolders = ['/usr/include', '/usr/local/include'];

export const folderOf = ({ driver }) => join('drivers', driver, 'native');
/** Sources with these endings, from the root, sorted. */
export const sourcesOf = (addon, ...endings) =>
  existsSync(join(root, folderOf(addon)))
    ? readdirSync(join(root, folderOf(addon)))
        .filter((name) => endings.some((ending) => name.endsWith(ending)))
        .sort()
        .map((name) => join(folderOf(addon), name))
    : [];
/** Whether it can be built here. */
export const isBuildable = (addon) =>
  sourcesOf(addon, '.cc').length > 0 && includeFolders.some((folder) => existsSync(join(folder, addon.header)));
export const buildableAddons = () => driverAddons.filter(isBuildable);
