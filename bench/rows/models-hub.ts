import { join } from 'node:path'
import { TensorHub } from 'tensorhub'
import { openDurable } from '../baseline-file.ts'

export const MODELS_OPTIONS = { projectName: 'bench', collect: false } as const

/** A hub with so many models, a hundred a run, and the indexes that the rows' queries would make by themselves beside the facade's own. */
export async function modelsHub(hubFolder: string, count: number): Promise<void> {
  const hub = await TensorHub.connect(hubFolder, MODELS_OPTIONS)
  const model = { architecture: 'bench', weights: new Float32Array(4) }
  const record = await hub.models.save('mlp', model, { accuracy: 0, run: 'r0', epoch: 0 })
  await hub.close()
  // The others are copies of the one that the facade saved, made by SQL: a million saves would take longer than all the rows together.
  const database = openDurable(join(hubFolder, 'index.db'))
  // An index is made several times faster over all rows than row by row; connecting makes the facade's anew.
  const indexes = database
    .prepare("SELECT name FROM sqlite_schema WHERE type='index' AND sql IS NOT NULL AND tbl_name='c_models'")
    .all()
  for (const { name } of indexes) database.exec(`DROP INDEX "${name as string}"`)
  database
    .prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO c_models(_id, body) SELECT printf('02%024d', i), json_set(body, '$._id', printf('02%024d', i),
         '$.time."$date"', json_extract(body, '$.time."$date"') + i, '$.accuracy', abs(random() % 1000000007) / 1000000007.0,
         '$.run', 'r' || (i / 100), '$.epoch', i % 100) FROM n, c_models WHERE _id = ?`,
    )
    .run(count - 1, record._id)
  database.close()
  const filled = await TensorHub.connect(hubFolder, MODELS_OPTIONS)
  await filled.models.index('accuracy')
  await filled.models.index('run')
  await filled.models.index('model_name', 'run')
  await filled.close()
}
