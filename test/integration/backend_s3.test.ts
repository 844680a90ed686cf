import { startS3 } from '../harness/backends.ts';
import { backendSuite } from '../harness/backend_suite.ts';
import { whyMissing } from '../services/service.ts';

backendSuite('S3', whyMissing('radosgw'), startS3);
