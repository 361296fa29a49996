import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../pages.ts'
import { ERRORS_PAGE, errorsPage } from './page.ts'

writeFileSync(join(ROOT, ERRORS_PAGE), errorsPage())
