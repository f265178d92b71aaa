#include "cmd/ui.h"

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/progress.h"
#include "core/base/str.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

/* One terminal, one process: the only static mutable state of cmd/. */
static struct {
	pthread_mutex_t mu;             /* guards both streams and 'drawn' */
	bool quiet, tty_out, tty_err, failed, drawn;
	int verbose, error;
	pthread_t thread;
	pthread_cond_t wake;
	bool running, stop;
} ui = { .mu = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static void show(enum notice_level level, const char *text, void *data UNUSED)
{
	if (level == NOTICE_INFO)
		ui_info("%s", text);
	else if (level == NOTICE_WARN)
		ui_warn("%s", text);
	else if (level == NOTICE_ERROR)
		ui_error("%s", text);
	else if (level == NOTICE_NOTE)
		ui_note("%s", text);
	else if (ui.verbose)
		fprintf(stderr, "DEBUG: %s\n", text);
}

static bool env_ignores_tty(void)
{
	const char *v = getenv("DVC_IGNORE_ISATTY");

	return v && (!strcasecmp(v, "1") || !strcasecmp(v, "y") || !strcasecmp(v, "yes") || !strcasecmp(v, "true"));
}

void ui_init(bool quiet, int verbose)
{
	ui.quiet = quiet;
	ui.verbose = verbose;
	ui.tty_out = isatty(1) && !env_ignores_tty();
	ui.tty_err = isatty(2);
	notice_sink(show, NULL);
}

bool ui_is_tty(void)
{
	return ui.tty_out;
}

static void clear_progress(void)
{
	if (ui.drawn)
		fputs("\r\033[K", stderr);
	ui.drawn = false;
}

static void put(FILE *f, const void *p, size_t n)
{
	pthread_mutex_lock(&ui.mu);
	clear_progress();
	if (fwrite(p, 1, n, f) != n && f == stdout && !ui.failed) {
		ui.failed = true;
		ui.error = errno;
	}
	pthread_mutex_unlock(&ui.mu);
}

/* U2: a name cannot move the cursor or change the colours of a terminal. */
static void put_text(FILE *f, bool tty, const char *text, size_t n)
{
	autostr struct str safe = STR_INIT;

	if (!tty) {
		put(f, text, n);
		return;
	}
	str_add_safe(&safe, text);
	put(f, str_cstr(&safe), safe.len);
}

static void vout(bool newline, const char *fmt, va_list ap)
{
	autofree char *text = NULL;
	int n = vasprintf(&text, fmt, ap);

	if (n < 0)
		return;
	put_text(stdout, ui.tty_out, text, (size_t)n);
	if (newline)
		put(stdout, "\n", 1);
}

void ui_out(const char *fmt, ...)
{
	va_list ap;

	if (ui.quiet)
		return;
	va_start(ap, fmt);
	vout(false, fmt, ap);
	va_end(ap);
}

void ui_force(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vout(false, fmt, ap);
	va_end(ap);
}

void ui_out_bytes(const void *p, size_t n)
{
	put(stdout, p, n);
}

void ui_info(const char *fmt, ...)
{
	va_list ap;

	if (ui.quiet)
		return;
	va_start(ap, fmt);
	vout(true, fmt, ap);
	va_end(ap);
}

static void vtalk(const char *level, const char *color, const char *fmt, va_list ap)
{
	autostr struct str line = STR_INIT;
	autofree char *text = NULL;

	if (ui.quiet || vasprintf(&text, fmt, ap) < 0)
		return;
	fflush(stdout);
	if (ui.tty_err) {
		str_addf(&line, "\033[%sm%s\033[39m: ", color, level);
		str_add_safe(&line, text);
	} else {
		str_addf(&line, "%s: %s", level, text);
	}
	str_addc(&line, '\n');
	put(stderr, line.buf, line.len);
}

void ui_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vtalk("WARNING", "33", fmt, ap);
	va_end(ap);
}

void ui_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vtalk("ERROR", "31", fmt, ap);
	va_end(ap);
}

void ui_note(const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;
	int n;

	if (ui.quiet)
		return;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	put_text(stderr, ui.tty_err, text, (size_t)n);
	put(stderr, "\n", 1);
}

void ui_err(const struct err *e)
{
	if (e->report) {
		ui_note("%s", e->msg);
		return;
	}
	ui_error("%s", e->msg ? e->msg : "unknown failure");
	if (e->hint && !ui.quiet) {
		fflush(stdout);
		put_text(stderr, ui.tty_err, e->hint, strlen(e->hint));
		put(stderr, "\n", 1);
	}
}

void ui_json(const struct node *n)
{
	autostr struct str s = STR_INIT;

	if (ui.quiet)
		return;
	json_dump(&s, n, ui.tty_out ? JSON_INDENT2 : 0);
	str_addc(&s, '\n');
	put(stdout, s.buf, s.len);
}

/* The question as DVC's console shows it: broken at blanks so that no line passes 80 columns, the blank kept. */
static void ask(const char *question)
{
	autostr struct str out = STR_INIT;
	size_t col = 0;

	while (*question) {
		size_t word = strcspn(question, " \n"), gap = strspn(question + word, " ");

		if (col && col + word > 80) {
			str_addc(&out, '\n');
			col = 0;
		}
		str_add(&out, question, word + gap);
		col += word + gap;
		question += word + gap;
		if (*question == '\n') {
			str_addc(&out, *question++);
			col = 0;
		}
	}
	put_text(stdout, ui.tty_out, str_cstr(&out), out.len);
}

bool ui_confirm(const char *question)
{
	autofree char *text = xasprintf("%s [y/n]: ", question);
	char line[64];

	for (;;) {
		ask(text);
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return false;
		line[strcspn(line, "\r\n")] = '\0';
		if (!strcasecmp(line, "y") || !strcasecmp(line, "yes"))
			return true;
		if (!strcasecmp(line, "n") || !strcasecmp(line, "no"))
			return false;
		ui_info("Your response must be one of: ['yes', 'no', 'y', 'n']. Please try again.");
	}
}

/* Columns a text takes: code points; a combining or wide one counts as one. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void cell(struct str *out, const char *text, size_t w)
{
	size_t n = width(text);

	str_adds(out, text);
	if (n < w)
		str_addn(out, ' ', w - n);
}

static void table_row(struct str *out, const char *const *cells, const size_t *w, size_t cols, bool markdown)
{
	if (markdown)
		str_adds(out, "| ");
	for (size_t c = 0; c < cols; c++) {
		if (c)
			str_adds(out, markdown ? " | " : "  ");
		cell(out, cells[c] ? cells[c] : "-", w[c]);
	}
	if (markdown)
		str_adds(out, " |");
	else
		while (out->len && out->buf[out->len - 1] == ' ')
			str_setlen(out, out->len - 1);
	str_addc(out, '\n');
}

void ui_table(const char *const *head, size_t cols, char ***rows, size_t n, bool markdown)
{
	autofree size_t *w = xcalloc(cols, sizeof(*w));
	autostr struct str out = STR_INIT;

	if (ui.quiet)
		return;
	for (size_t c = 0; c < cols; c++) {
		w[c] = head ? width(head[c]) + 2 : 0;
		for (size_t r = 0; r < n; r++) {
			size_t k = width(rows[r][c] ? rows[r][c] : "-");

			w[c] = k > w[c] ? k : w[c];
		}
	}
	if (head)
		table_row(&out, head, w, cols, markdown);
	for (size_t c = 0; markdown && c < cols; c++) {
		str_addc(&out, '|');
		str_addn(&out, '-', w[c] + 2);
	}
	if (markdown)
		str_adds(&out, "|\n");
	for (size_t r = 0; r < n; r++)
		table_row(&out, (const char *const *)rows[r], w, cols, markdown);
	if (markdown)
		str_addc(&out, '\n');
	put_text(stdout, ui.tty_out, str_cstr(&out), out.len);
}

static bool in_foreground(void)
{
	return ui.tty_err && tcgetpgrp(2) == getpgrp();
}

static void describe(struct str *s, const struct progress *p, double seconds)
{
	uint64_t items = atomic_load(&p->items), total = atomic_load(&p->items_total);
	uint64_t bytes = atomic_load(&p->bytes), all = atomic_load(&p->bytes_total);

	str_addf(s, "%s: %llu", p->verb, (unsigned long long)items);
	if (total)
		str_addf(s, "/%llu", (unsigned long long)total);
	str_adds(s, " objects, ");
	str_add_human(s, bytes);
	if (all) {
		str_adds(s, " of ");
		str_add_human(s, all);
	}
	if (seconds >= 1) {
		double rate = (double)bytes / seconds;

		str_adds(s, ", ");
		str_add_human(s, (uint64_t)rate);
		str_adds(s, "/s");
		if (all > bytes && rate > 1)
			str_addf(s, ", %.0f s left", (double)(all - bytes) / rate);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A line in place on a terminal after half a second, a line every two seconds on a pipe. */
static void draw(const struct progress *p, double since, double *last)
{
	autostr struct str s = STR_INIT;
	double t = now();

	if (ui.quiet || t - since < (ui.tty_err ? 0.5 : 2) || (!ui.tty_err && t - *last < 2))
		return;
	if (ui.tty_err && !in_foreground())
		return;
	describe(&s, p, t - since);
	*last = t;
	if (ui.tty_err) {
		fprintf(stderr, "\r\033[K%s", s.buf);
		ui.drawn = true;
	} else {
		fprintf(stderr, "%s\n", s.buf);
	}
	fflush(stderr);
}

static void *sampler(void *arg UNUSED)
{
	const struct progress *seen = NULL;
	double since = 0, last = 0;

	pthread_mutex_lock(&ui.mu);
	while (!ui.stop) {
		struct timespec t;
		const struct progress *p;

		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 200000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&ui.wake, &ui.mu, &t);
		p = progress_current();
		if (p != seen) {
			clear_progress();
			since = last = now();
			seen = p;
		}
		if (p)
			draw(p, since, &last);
	}
	clear_progress();
	pthread_mutex_unlock(&ui.mu);
	return NULL;
}

void ui_progress_start(void)
{
	if (ui.running || ui.quiet)
		return;
	ui.stop = false;
	ui.running = !pthread_create(&ui.thread, NULL, sampler, NULL);
}

void ui_progress_stop(void)
{
	if (!ui.running)
		return;
	pthread_mutex_lock(&ui.mu);
	ui.stop = true;
	pthread_cond_signal(&ui.wake);
	pthread_mutex_unlock(&ui.mu);
	pthread_join(ui.thread, NULL);
	ui.running = false;
}

int ui_finish(struct err *e)
{
	ui_progress_stop();
	if (fflush(stdout) && !ui.failed) {
		ui.failed = true;
		ui.error = errno;
	}
	if (!ui.failed)
		return 0;
	if (ui.error == EPIPE) {
		ui.quiet = true;        /* the reader has gone: nothing to tell it */
		return err_set(e, ERR_TEMP, "cannot write the output: the reader has closed it");
	}
	errno = ui.error;
	return err_sys(e, "cannot write the output");
}
