/** Every driver there is. The one file that names them. */
import type { DriverRegistry } from '../src/driver/registry.js';
import { glusterDriver } from './gluster/driver.js';
import { localDriver } from './local/driver.js';
import { memoryDriver } from './memory/driver.js';
import { nfsDriver } from './nfs/driver.js';
import { radosDriver } from './rados/driver.js';
import { riakcsDriver } from './riakcs/driver.js';
import { s3Driver } from './s3/driver.js';

export const allDrivers: DriverRegistry = [
  localDriver,
  radosDriver,
  glusterDriver,
  nfsDriver,
  s3Driver,
  riakcsDriver,
  memoryDriver,
];
