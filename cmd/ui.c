#include "cmd/ui.h"

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/progress.h"
#include "core/base/str.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define PIPE_SECONDS 10         /* between signs of life where nobody draws over them: logs */

/* One terminal, one process: the only static mutable state of cmd/. */
static struct {
	pthread_mutex_t mu;             /* guards both streams and 'drawn' */
	bool quiet, tty_out, tty_err, failed, drawn;
	int verbose, error;
	pthread_t thread;
	pthread_cond_t wake;
	bool running, stop;
} ui = { .mu = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

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

/* A failure must not be forgotten when a later flush has nothing left to write. */
void ui_flush(void)
{
	if (fflush(stdout) && !ui.failed) {
		ui.failed = true;
		ui.error = errno;
	}
}

static void debug(const char *text)
{
	autostr struct str line = STR_INIT;

	str_adds(&line, "DEBUG: ");
	str_add_safe(&line, text);
	str_addc(&line, '\n');
	put(stderr, line.buf, line.len);
}

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
		debug(text);
}

static bool env_ignores_tty(void)
{
	const char *v = getenv("DVC_IGNORE_ISATTY");

	return v && (!strcasecmp(v, "1") || !strcasecmp(v, "y") || !strcasecmp(v, "yes") || !strcasecmp(v, "true"));
}

bool ui_is_quiet(void)
{
	return ui.quiet;
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

size_t ui_columns(void)
{
	const char *env = getenv("COLUMNS");
	struct winsize size = { 0 };
	uint64_t n = 0;

	if (env && str_to_u64(env, &n) && n && n < 100000)
		return n;
	return ioctl(1, TIOCGWINSZ, &size) || !size.ws_col ? 80 : size.ws_col;
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
	autofree char *text = xvasprintf(fmt, ap);

	put_text(stdout, ui.tty_out, text, strlen(text));
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

	if (ui.quiet)
		return;
	text = str_cut_lines(xvasprintf(fmt, ap));
	ui_flush();
	if (ui.tty_err)
		str_addf(&line, "\033[%sm%s\033[39m: ", color, level);
	else
		str_addf(&line, "%s: ", level);
	str_add_safe(&line, text);
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

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	put_text(stderr, true, text, strlen(text));
	put(stderr, "\n", 1);
}

void ui_err(const struct err *e)
{
	static const char footer[] =
		"\nHaving any troubles? Hit us up at https://dvc.org/support, we are always happy to help!\n";

	if (e->report) {
		if (!ui.quiet)
			ui_note("%s", e->msg);
		return;
	}
	ui_error("%s", e->msg ? e->msg : "unknown failure");
	if (e->hint && !ui.quiet) {
		ui_flush();
		ui_note("%s", e->hint);
	}
	if (e->msg && str_starts(e->msg, "unexpected error") && err_exit_status(e) == 255)
		put(stderr, footer, sizeof(footer) - 1);        /* DVC says it with -q too */
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

/* The question as DVC's console shows it: broken at blanks so that no line is too long, the blank kept. */
static void ask(const char *question)
{
	autostr struct str out = STR_INIT;
	size_t col = 0, width = ui_columns();

	while (*question) {
		size_t word = strcspn(question, " \n"), gap = strspn(question + word, " ");

		if (col && col + word > width) {
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

static bool confirm(const char *text, bool broken)
{
	char line[64];

	for (;;) {
		if (broken)
			ask(text);
		else
			put_text(stdout, ui.tty_out, text, strlen(text));
		ui_flush();
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

bool ui_confirm(const char *question)
{
	autofree char *text = xasprintf("%s [y/n]: ", question);

	return confirm(text, true);
}

bool ui_confirm_tty(const char *question)
{
	autofree char *text = xasprintf("%s [y/n] ", question);

	return ui.tty_out && confirm(text, false);
}

/* Columns that so many bytes take on a terminal, wide and combining characters told apart; -1 for control characters. */
static int width(const char *s, size_t n)
{
	mbstate_t st;
	int w = 0;

	memset(&st, 0, sizeof(st));
	while (n) {
		wchar_t c = 0;
		size_t k = mbrtowc(&c, s, n, &st);
		int one = 1;

		if (!k || k > n) {
			memset(&st, 0, sizeof(st));
			k = 1;
		} else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			return -1;
		} else if ((one = wcwidth(c)) < 0) {
			one = 1;
		}
		w += one;
		s += k;
		n -= k;
	}
	return w;
}

/* The so many-th line of a cell, blanks around the whole of it left out. NULL: it has fewer. */
static const char *cell_line(const char *text, size_t i, size_t *len)
{
	const char *end, *nl;

	text += strspn(text, " \t\r\n\v\f");
	for (end = text + strlen(text); end > text && strchr(" \t\r\n\v\f", end[-1]); end--)
		;
	for (; i; i--) {
		nl = memchr(text, '\n', (size_t)(end - text));
		if (!nl)
			return NULL;
		text = nl + 1;
	}
	nl = memchr(text, '\n', (size_t)(end - text));
	*len = (size_t)((nl ? nl : end) - text);
	return text;
}

static void widen(int *w, const char *cell, int more)
{
	const char *t;
	size_t len;

	for (size_t i = 0; (t = cell_line(cell, i, &len)); i++)
		if (width(t, len) + more > *w)
			*w = width(t, len) + more;
}

/* -> whether any of the cells has a line of this number */
static bool table_line(struct str *out, const char *const *cells, const int *w, size_t cols, size_t i, bool markdown)
{
	size_t from = out->len;
	bool any = false;

	if (markdown)
		str_adds(out, "| ");
	for (size_t c = 0; c < cols; c++) {
		size_t len = 0;
		const char *t = cell_line(cells[c] ? cells[c] : "-", i, &len);
		int have = width(t, len);

		any |= t != NULL;
		if (c)
			str_adds(out, markdown ? " | " : "  ");
		str_add(out, t ? t : "", len);
		str_addn(out, ' ', have < w[c] ? (size_t)(w[c] - have) : 0);
	}
	if (markdown)
		str_adds(out, " |");
	else
		while (out->len > from && out->buf[out->len - 1] == ' ')
			str_setlen(out, out->len - 1);
	str_addc(out, '\n');
	if (!any)
		str_setlen(out, from);
	return any;
}

static void table_row(struct str *out, const char *const *cells, const int *w, size_t cols, bool markdown)
{
	for (size_t i = 0; table_line(out, cells, w, cols, i, markdown); i++)
		;
}

void ui_table(const char *const *head, size_t cols, char ***rows, size_t n, bool markdown)
{
	autofree int *w = xcalloc(cols, sizeof(*w));
	autostr struct str out = STR_INIT;
	locale_t utf8, old;

	/* Whatever the user's locale is, the texts are UTF-8. */
	utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	old = uselocale(utf8);
	for (size_t c = 0; c < cols; c++) {
		if (head)
			widen(&w[c], head[c], 2);
		for (size_t r = 0; r < n; r++)
			widen(&w[c], rows[r][c] ? rows[r][c] : "-", 0);
	}
	if (head)
		table_row(&out, head, w, cols, markdown);
	for (size_t c = 0; markdown && c < cols; c++) {
		str_addc(&out, '|');
		str_addn(&out, '-', (size_t)w[c] + 2);
	}
	if (markdown)
		str_adds(&out, "|\n");
	for (size_t r = 0; r < n; r++)
		table_row(&out, (const char *const *)rows[r], w, cols, markdown);
	if (markdown)
		str_addc(&out, '\n');
	uselocale(old);
	if (utf8)
		freelocale(utf8);
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

/* A line in place on a terminal after half a second, a line every ten seconds on a pipe. */
static void draw(const struct progress *p, double since, double *last)
{
	autostr struct str s = STR_INIT;
	double t = now();

	if (ui.quiet || t - since < (ui.tty_err ? 0.5 : PIPE_SECONDS) || (!ui.tty_err && t - *last < PIPE_SECONDS))
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
	ui_flush();
	if (!ui.failed)
		return 0;
	if (ui.error == EPIPE) {
		ui.quiet = true;        /* the reader has gone: nothing to tell it */
		return err_set(e, ERR_TEMP, "cannot write the output: the reader has closed it");
	}
	errno = ui.error;
	return err_sys(e, "cannot write the output");
}
