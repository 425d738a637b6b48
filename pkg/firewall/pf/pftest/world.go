// Package pftest is a pfctl for tests on any system: it keeps tables, anchors,
// rules and states in a file, and answers as the pfctl of OpenBSD, FreeBSD or
// macOS does, with its texts, exit codes and limits. What it does not cover
// ends with the exit code NotCovered. It is no firewall.
package pftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is the name under which a test binary is the fake.
const program = "pfctl"

// Main makes the test binary the fake, when it is called by that name. TestMain
// calls it first.
func Main() {
	if filepath.Base(os.Args[0]) == program {
		os.Exit(serve(filepath.Dir(os.Args[0]), os.Args[1:]))
	}
}

// A Call is one run of the program that was recorded.
type Call struct {
	Args  []string
	Stdin string
	Env   []string
	Code  int
	Names []string // that were looked up: what no caller should ever cause
	Cuts  []bool   // the fate of each probe afterwards
}

// A World is one host with a fake pf.
type World struct {
	t   testing.TB
	dir string
}

// New is a host whose pf is on and has no rules.
func New(t testing.TB, f Flavour) *World {
	t.Helper()
	w := &World{t, t.TempDir()}
	self, err := executable()
	if err == nil {
		err = os.Symlink(self, w.Path())
	}
	if err == nil {
		err = newState(f).save(w.dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Path is that of the program.
func (w *World) Path() string { return filepath.Join(w.dir, program) }

// State is what pf holds now.
func (w *World) State() *State {
	w.t.Helper()
	s, err := load(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// Change is anything that happens to pf but through pfctl.
func (w *World) Change(f func(*State)) {
	w.t.Helper()
	s := w.State()
	f(s)
	if err := s.save(w.dir); err != nil {
		w.t.Fatal(err)
	}
}

// Result is what a run of pfctl gave.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run is pfctl run by somebody else: it is not recorded.
func (w *World) Run(stdin string, args ...string) (r Result) {
	w.t.Helper()
	w.Change(func(s *State) {
		c := &call{s: s, stdin: stdin}
		r = Result{Code: c.run(args), Stdout: c.out.String(), Stderr: c.err.String()}
	})
	return r
}

// Must is Run with an exit code of 0.
func (w *World) Must(stdin string, args ...string) string {
	w.t.Helper()
	r := w.Run(stdin, args...)
	if r.Code != 0 {
		w.t.Fatalf("pfctl %q: exit code %d: %s", args, r.Code, r.Stderr)
	}
	return r.Stdout
}

// Load replaces the main rules: pfctl -f /etc/pf.conf.
func (w *World) Load(rules string) { w.t.Helper(); w.Must(rules, "-f", "-") }

// Cuts says what becomes of a connection from a client to a port.
func (w *World) Cuts(client string, port uint16) bool {
	w.t.Helper()
	return w.State().Cuts(netip.MustParseAddr(client), port)
}

// Snapshot is everything that pfctl can show, without counters.
func (w *World) Snapshot() string {
	s := w.State()
	var out strings.Builder
	fmt.Fprintf(&out, "enabled %v\n", s.Enabled)
	var names []string
	for name := range s.Anchors {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		a := s.Anchors[name]
		fmt.Fprintf(&out, "anchor %q\n", name)
		for _, r := range a.Rules {
			fmt.Fprintf(&out, "  %s\n", s.ruleText(r))
		}
		var tables []string
		for t := range a.Tables {
			tables = append(tables, t)
		}
		slices.Sort(tables)
		for _, t := range tables {
			x := a.Tables[t]
			fmt.Fprintf(&out, "  table <%s> %v %v %v %v\n", t, x.Persist, x.Const, x.Counters, x.Inactive)
			for _, p := range x.sorted() {
				fmt.Fprintf(&out, "    %v %v\n", x.Addrs[p].Not, p)
			}
		}
	}
	return out.String()
}

// Calls are the recorded runs since the last Forget.
func (w *World) Calls() []Call {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "calls"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	var calls []Call
	for d := json.NewDecoder(bytes.NewReader(b)); ; {
		var c Call
		if err := d.Decode(&c); err == io.EOF {
			return calls
		} else if err != nil {
			w.t.Fatal(err)
		}
		calls = append(calls, c)
	}
}

// Forget drops what was recorded.
func (w *World) Forget() {
	w.t.Helper()
	if err := os.RemoveAll(filepath.Join(w.dir, "calls")); err != nil {
		w.t.Fatal(err)
	}
}

// serve is the program.
func serve(dir string, args []string) int {
	fail := func(err error) int {
		fmt.Fprintf(os.Stderr, "fakepfctl: %v\n", err)
		return NotCovered
	}
	s, err := load(dir)
	if err != nil {
		return fail(err)
	}
	if s.Hang {
		time.Sleep(time.Hour)
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fail(err)
	}
	c := &call{s: s, stdin: string(stdin)}
	code := c.run(args)
	if err := s.save(dir); err != nil {
		return fail(err)
	}
	record := Call{Args: args, Stdin: string(stdin), Env: os.Environ(), Code: code, Names: c.names}
	for _, p := range s.Probes {
		record.Cuts = append(record.Cuts, s.Cuts(p.Client, p.Port))
	}
	log, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fail(err)
	}
	if err := errors.Join(json.NewEncoder(log).Encode(record), log.Close()); err != nil {
		return fail(err)
	}
	io.WriteString(os.Stderr, c.err.String())
	io.WriteString(os.Stdout, c.out.String())
	return code
}
