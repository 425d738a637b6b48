package allow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A world is a host made of a folder, a clock, a DNS and some programs.
type world struct {
	t    *testing.T
	root string
	now  time.Time
	dns  *fakeDNS
	nics []InterfaceAddr
	nerr error
	runs map[string]string // "postconf -x ..." by its first words: output
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{
		t: t, root: t.TempDir(), now: time.Unix(1_800_000_000, 0),
		dns: &fakeDNS{answers: make(map[string]any)}, runs: make(map[string]string),
	}
}

// options looks at the world and at nothing else.
func (w *world) options() Options {
	return Options{
		Now: func() time.Time { return w.now }, DNS: w.dns, Root: w.root,
		Interfaces: func() ([]InterfaceAddr, error) { return w.nics, w.nerr },
		Run:        w.run,
	}
}

func (w *world) run(_ context.Context, name string, args ...string) ([]byte, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	best := ""
	for words := range w.runs {
		if strings.HasPrefix(line, words) && len(words) > len(best) {
			best = words
		}
	}
	switch out := w.runs[best]; {
	case best == "":
		return nil, fmt.Errorf("run %s: %w", name, exec.ErrNotFound)
	case out == "fail":
		return nil, fmt.Errorf("run %s: exit status 1", name)
	default:
		return []byte(out), nil
	}
}

func (w *world) write(path, text string) {
	w.t.Helper()
	file := filepath.Join(w.root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(path string) {
	w.t.Helper()
	if err := os.RemoveAll(filepath.Join(w.root, path)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) collect(c *Collector) *List {
	w.t.Helper()
	l, err := c.Collect(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *world) refresh(c *Collector) *List {
	w.t.Helper()
	l, _, err := c.Refresh(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// fakeDNS answers from a table: "ip4 name", "ip6 name", "mx name" to a list of
// words or an error. What is not there does not exist.
type fakeDNS struct {
	mu      sync.Mutex
	answers map[string]any
	asked   []string
}

func (d *fakeDNS) set(query string, answer any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[query] = answer
}

func (d *fakeDNS) times(query string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.asked {
		if q == query {
			n++
		}
	}
	return n
}

func (d *fakeDNS) get(kind, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	query := kind + " " + strings.TrimSuffix(name, ".")
	d.asked = append(d.asked, query)
	switch a := d.answers[query].(type) {
	case string:
		return a, nil
	case error:
		return "", a
	}
	return "", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (d *fakeDNS) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	text, err := d.get(network, host)
	var addrs []netip.Addr
	for _, f := range strings.Fields(text) {
		addrs = append(addrs, netip.MustParseAddr(f))
	}
	return addrs, err
}

func (d *fakeDNS) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	text, err := d.get("mx", name)
	var all []*net.MX
	for i, f := range strings.Fields(text) {
		all = append(all, &net.MX{Host: f, Pref: uint16(i)})
	}
	return all, err
}

var errServfail = &net.DNSError{Err: "server misbehaving", IsTemporary: true}

// lines gives the entries but for the ranges that are always there.
func lines(l *List) []string {
	var all []string
	for _, e := range l.Entries() {
		if e.Kind != Special && e.Kind != Private {
			all = append(all, fmt.Sprintf("%s %s %s", e.Prefix, e.Kind, e.Origin))
		}
	}
	return all
}

func problems(l *List) []string {
	var all []string
	for _, p := range l.Problems() {
		all = append(all, p.Severity.String()+": "+p.String())
	}
	return all
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// expectOne wants exactly one problem, of that severity, with all the words.
func expectOne(t *testing.T, l *List, s Severity, words ...string) {
	t.Helper()
	if len(l.Problems()) != 1 || l.Problems()[0].Severity != s {
		t.Fatalf("problems %q, want one of severity %q", problems(l), s)
	}
	for _, word := range words {
		if !strings.Contains(l.Problems()[0].String(), word) {
			t.Fatalf("problem %q does not say %q", l.Problems()[0], word)
		}
	}
}

var errBroken = errors.New("broken on purpose")
