#include "core/data/ignorelines.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/data/metabatch.h"
#include "core/data/project.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"

#define GITIGNORE_MAX (16u << 20)

/* One .gitignore as it will be. */
struct lines { struct str text; struct map have; char *file; };

static void lines_free(void *v)
{
	struct lines *l = v;

	str_release(&l->text);
	map_release(&l->have, NULL);
	free(l->file);
	free(l);
}

static struct lines *lines_load(const char *abs, const char *root, struct err *e)
{
	struct lines *l = xcalloc(1, sizeof(*l));

	l->file = gitignore_file(abs, root, e);
	if (!l->file || (fs_exists(l->file) && fs_read(&l->text, l->file, GITIGNORE_MAX, e))) {
		lines_free(l);
		return NULL;
	}
	for (const char *p = str_cstr(&l->text); *p; p += *p == '\n') {
		size_t n = strcspn(p, "\n");
		autofree char *line = xstrndup(p, n);

		map_put(&l->have, line, l);
		p += n;
	}
	return l;
}

static int add_line(struct project *p, struct index *x, struct map *files, const char *abs, struct err *e)
{
	autofree char *dir = path_dir(abs), *path = path_join(dir, ".gitignore"), *entry = gitignore_entry(path_base(abs));
	autofree char *rel = path_rel(abs, p->repo->root);
	struct lines *l = map_get(files, path);

	if (strchr(entry, '\n') || (l && map_has(&l->have, entry)) || index_git_ignored(x, rel, false))
		return 0;
	if (!l) {
		l = lines_load(abs, p->repo->scm_root, e);
		if (!l)
			return -1;
		map_put(files, path, l);
	}
	if (map_has(&l->have, entry))
		return 0;
	if (l->text.len && l->text.buf[l->text.len - 1] != '\n')
		str_addc(&l->text, '\n');
	str_addf(&l->text, "%s\n", entry);
	map_put(&l->have, entry, l);
	return 0;
}

static int write_all(struct project *p, const struct map *files, struct err *e)
{
	autocall(metabatch_release) struct metabatch b = METABATCH_INIT;
	const struct map_entry *it;

	for (size_t i = 0; (it = map_next(files, &i));) {
		const struct lines *l = it->value;

		if (metabatch_add(&b, l->file, str_cstr(&l->text), l->text.len, e))
			return -1;
		repo_wrote(p->repo, it->key);
	}
	return metabatch_commit(&b, e);
}

int ignorelines_add(struct project *p, const struct strvec *abs, struct err *e)
{
	struct map files = MAP_INIT;
	struct index *x;
	int rc = project_index_some(p, &x, e);

	for (size_t i = 0; !rc && i < abs->n; i++)
		rc = add_line(p, x, &files, abs->v[i], e);
	if (!rc)
		rc = write_all(p, &files, e);
	map_release(&files, lines_free);
	if (!rc)
		index_git_ignore_changed(x);
	return rc;
}
