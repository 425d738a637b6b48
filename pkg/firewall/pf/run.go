package pf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// runTime is for one run: the largest, reading some 100,000 entries with
	// counters, takes some seconds on a slow machine.
	runTime = time.Minute
	// perCall is how many prefixes are handed over at once: FreeBSD refuses
	// more than 65,535 (net.pf.request_maxcount).
	perCall = 10_000
	// maxStatus is how much of standard error is kept, and maxLine how long
	// a line of standard output may be.
	maxStatus = 16 << 10
	maxLine   = 64 << 10
)

// programs is where pfctl is on the systems that have it: a fixed list, so that
// nothing depends on the environment postmoat was started with.
var programs = [...]string{"/sbin/pfctl", "/usr/sbin/pfctl"}

// A refusal is an exit code other than 0. Other than that code nothing is a
// failure: pfctl also writes notes to standard error.
type refusal struct {
	code int
	text string // standard error
}

func (r *refusal) Error() string {
	text := strings.Join(strings.FieldsFunc(r.text, func(c rune) bool { return c == '\n' || c == '\r' }), "; ")
	if len(text) > 300 {
		text = "... " + text[len(text)-300:] // what it stumbled over comes last
	}
	return fmt.Sprintf("exit code %d: %q", r.code, text)
}

// run starts pfctl. Standard input is stdin, each line of standard output goes
// to line (nil: dropped), and what was written to standard error is returned.
// It does not end with a caller's context: a change may be under way.
func (b *Backend) run(stdin []byte, line func(string), args ...string) (string, error) {
	path, err := b.program()
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(context.Background(), b.timeout)
	defer stop()
	status := tail{limit: maxStatus}
	lines := lineWriter{f: line}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &lines, &status
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	text := string(status.buf)
	if ctx.Err() != nil {
		return text, fmt.Errorf("pfctl: no end after %v: %w", b.timeout, ctx.Err())
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return text, &refusal{exit.ExitCode(), text}
	}
	if err != nil {
		return text, fmt.Errorf("pfctl: %w", err)
	}
	return text, lines.end()
}

func (b *Backend) program() (string, error) {
	if b.o.Path != "" {
		return b.o.Path, nil
	}
	for _, p := range programs {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", fmt.Errorf("pfctl: %w", exec.ErrNotFound)
}

// table runs a command on a table.
func (b *Backend) table(anchor, table, command string) error {
	_, err := b.run(nil, nil, "-a", anchor, "-t", table, "-T", command)
	return err
}

// feed hands prefixes to a command ("add", "delete"), at most perCall. created
// says that the table was not there before.
func (b *Backend) feed(anchor, table, command string, list []netip.Prefix) (created bool, err error) {
	found := make([]found, len(list))
	for i, p := range list {
		found[i].prefix = p
	}
	return b.feedSigned(anchor, table, command, found)
}

// feedSigned is feed for what was read, which may be negated.
func (b *Backend) feedSigned(anchor, table, command string, list []found) (created bool, err error) {
	if len(list) == 0 {
		return false, nil // to some commands no input means all
	}
	var in []byte
	for _, f := range list {
		if f.negated {
			in = append(in, '!')
		}
		if f.prefix.IsSingleIP() {
			in = f.prefix.Addr().AppendTo(in)
		} else {
			in = f.prefix.AppendTo(in)
		}
		in = append(in, '\n')
	}
	status, err := b.run(in, nil, "-a", anchor, "-t", table, "-T", command, "-f", "-")
	return strings.Contains(status, "1 table created"), err
}

// load replaces the rules of an anchor.
func (b *Backend) load(anchor, rules string) error {
	_, err := b.run([]byte(rules), nil, "-a", anchor, "-f", "-")
	return err
}

// tail keeps the last bytes.
type tail struct {
	buf   []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - t.limit; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

// lineWriter cuts what is written into lines.
type lineWriter struct {
	f    func(string)
	part []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	if w.f == nil {
		return n, nil
	}
	for {
		line, rest, ok := bytes.Cut(p, []byte{'\n'})
		if len(w.part)+len(line) > maxLine {
			return 0, errors.New("a line without end")
		}
		if !ok {
			w.part = append(w.part, line...)
			return n, nil
		}
		if len(w.part) > 0 {
			line = append(w.part, line...)
			w.part = w.part[:0]
		}
		w.f(string(line))
		p = rest
	}
}

// end: the last line has a newline, or the program was cut short.
func (w *lineWriter) end() error {
	if len(w.part) > 0 {
		return fmt.Errorf("pfctl: output: %w", io.ErrUnexpectedEOF)
	}
	return nil
}
