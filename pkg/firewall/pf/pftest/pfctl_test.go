package pftest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

func TestMain(m *testing.M) {
	pftest.Main()
	m.Run()
}

// A step is one run of pfctl and what it has to answer. "%." in stderr is a
// full stop on FreeBSD and macOS, and nothing on OpenBSD. Notes that a system
// prints on every call are taken off before the comparison.
type step struct {
	args   string // split at blanks
	stdin  string
	code   int
	stdout string
	stderr string
}

// TestContract: each row quotes what was measured of the real pfctl.
func TestContract(t *testing.T) {
	add := func(list string) step { return step{args: "-q -t ban -T add -f -", stdin: list} }
	for _, test := range []struct {
		name  string
		only  pftest.Flavour
		steps []step
	}{
		{name: "Listings go to STDOUT, all status lines and errors to STDERR", steps: []step{
			{args: "-t ban -T add 192.0.2.1", stderr: "1 table created.\n1/1 addresses added.\n"},
			{args: "-t ban -T show", stdout: "   192.0.2.1\n"},
		}},
		{name: "-q silences status lines, not errors", steps: []step{
			{args: "-q -t ban -T add 192.0.2.1"},
			{args: "-q -t none -T show", code: 255, stderr: "pfctl: Table does not exist%.\n"},
		}},
		{name: "255 for any failed table command", steps: []step{
			{args: "-t ban -T delete 192.0.2.1", code: 255, stderr: "pfctl: Table does not exist%.\n"},
			{args: "-t ban -T flush", code: 255, stderr: "pfctl: Table does not exist%.\n"},
			{args: "-t ban -T expire 10", code: 255, stderr: "pfctl: Table does not exist%.\n"},
			{args: "-t ban -T test 192.0.2.1", code: 255, stderr: "pfctl: Table does not exist%.\n"},
		}},
		{name: "2 for -T test with a non-match: 1/2 addresses match; -vv shows M and the matching net, nomatch", steps: []step{
			add("192.0.2.0/24"),
			{args: "-t ban -T test 192.0.2.1 198.51.100.1", code: 2, stderr: "1/2 addresses match.\n"},
			{args: "-t ban -T test 192.0.2.1", stderr: "1/1 addresses match.\n"},
			{args: "-vv -t ban -T test 192.0.2.1 198.51.100.1", code: 2, stderr: "1/2 addresses match.\n", stdout: "M  192.0.2.1\t192.0.2.0/24\n   198.51.100.1\t nomatch\n"},
		}},
		{name: "subcommands may be abbreviated (-T ad), options may be fused (-Tshow)", steps: []step{
			{args: "-qt ban -T ad 192.0.2.1"},
			{args: "-tban -Tshow", stdout: "   192.0.2.1\n"},
		}},
		{name: "addresses on argv and/or -f -, whitespace-separated, # to end of line is a comment", steps: []step{
			{args: "-t ban -T add -f - 192.0.2.1", stdin: "192.0.2.2 192.0.2.3\t# 192.0.2.4\n192.0.2.5", stderr: "1 table created.\n4/4 addresses added.\n"},
			{args: "-t ban -T show", stdout: "   192.0.2.1\n   192.0.2.2\n   192.0.2.3\n   192.0.2.5\n"},
		}},
		{name: "!addr is a negated entry; ! 10.1.1.1 fails: no IP address found for", steps: []step{
			add("192.0.2.0/24 !192.0.2.5"),
			{args: "-t ban -T show", stdout: "   192.0.2.0/24\n  !192.0.2.5\n"},
			{args: "-t ban -T add -f -", stdin: "! 10.1.1.1", code: 255, stderr: "no IP address found for \npfctl: cannot load -: Success\n"},
			{args: "-t ban -T test 192.0.2.4", stderr: "1/1 addresses match.\n"},
			{args: "-t ban -T test 192.0.2.5", code: 2, stderr: "0/1 addresses match.\n"},
		}},
		{name: "sorted IPv4 first, then IPv6, host bits cleared (10.1.2.3/8 -> 10.0.0.0/8), /len only if shorter than host", steps: []step{
			add("2001:db8::7/32 192.0.2.9 10.1.2.3/8 2001:db8::1 192.0.2.1/32"),
			{args: "-t ban -T show", stdout: "   10.0.0.0/8\n   192.0.2.1\n   192.0.2.9\n   2001:db8::/32\n   2001:db8::1\n"},
		}},
		{name: "pfctl RESOLVES NAMES: add localhost adds 127.0.0.1; an unknown name: no IP address found for X rc 255", steps: []step{
			add("localhost"),
			{args: "-t ban -T show", stdout: "   127.0.0.1\n"},
			{args: "-t ban -T add mx.example", code: 255, stderr: "no IP address found for mx.example\n"},
		}},
		{name: "1.2.3 is accepted as an address", steps: []step{
			{args: "-t ban -T add 1.2.3", stderr: "1 table created.\n1/1 addresses added.\n"},
		}},
		{name: "::ffff:a.b.c.d is stored as IPv6; fe80::1%if loses its scope", steps: []step{
			add("::ffff:192.0.2.1 fe80::1%em0"),
			{args: "-t ban -T show", stdout: "   ::ffff:192.0.2.1\n   fe80::1\n"},
		}},
		{name: "bad mask: pfctl: cannot decode 1.2.3.4/33: Invalid argument 255", steps: []step{
			{args: "-t ban -T add 1.2.3.4/33", code: 255, stderr: "pfctl: cannot decode 1.2.3.4/33: Invalid argument\n"},
		}},
		{name: "one bad token in a file => NOTHING is applied; last line is pfctl: cannot load -: Success 255", steps: []step{
			add("192.0.2.1"),
			{args: "-t ban -T add -f -", stdin: "192.0.2.2\nbogus.example\n192.0.2.3\n", code: 255, stderr: "no IP address found for bogus.example\npfctl: cannot load -: Success\n"},
			{args: "-t ban -T show", stdout: "   192.0.2.1\n"},
		}},
		{name: "add creates a PERSISTENT table if missing; re-adding = 0/1 addresses added. rc 0", steps: []step{
			{args: "-a x/y -t ban -T add 192.0.2.1 192.0.2.2", stderr: "1 table created.\n2/2 addresses added.\n"},
			{args: "-a x/y -t ban -T add 192.0.2.1", stderr: "0/1 addresses added.\n"},
			{args: "-a x/y -s Tables", stdout: "ban\n"},
		}},
		{name: "delete: 0/2 addresses deleted. rc 0 for absent ones", steps: []step{
			add("192.0.2.1"),
			{args: "-t ban -T delete 192.0.2.2 192.0.2.3", stderr: "0/2 addresses deleted.\n"},
		}},
		{name: "delete must carry the same sign; adding !x when x is there: 0 added, -v letter Y", steps: []step{
			add("192.0.2.1"),
			{args: "-t ban -T delete !192.0.2.1", stderr: "0/1 addresses deleted.\n"},
			{args: "-v -t ban -T add !192.0.2.1", stdout: "Y !192.0.2.1\n", stderr: "0/1 addresses added.\n"},
			{args: "-t ban -T show", stdout: "   192.0.2.1\n"},
		}},
		{name: "replace: N addresses added./deleted./changed. lines, or no changes.", steps: []step{
			add("192.0.2.1 192.0.2.2 192.0.2.3"),
			{args: "-t ban -T replace 192.0.2.1 !192.0.2.2 192.0.2.9", stderr: "1 addresses added.\n1 addresses deleted.\n1 addresses changed.\n"},
			{args: "-t ban -T replace 192.0.2.1 !192.0.2.2 192.0.2.9", stderr: "no changes.\n"},
		}},
		{name: "replace: EMPTY input empties the table (rc 0)", steps: []step{
			add("192.0.2.1"),
			{args: "-t ban -T replace -f -", stderr: "1 addresses deleted.\n"},
			{args: "-t ban -T show"},
		}},
		{name: "show: missing table 255", steps: []step{
			{args: "-t ban -T show", code: 255, stderr: "pfctl: Table does not exist%.\n"},
		}},
		{name: "expire: 0/0 addresses expired., bad number pfctl: expiry time: invalid rc 1", steps: []step{
			add("192.0.2.1"),
			{args: "-t ban -T expire 10", stderr: "0/0 addresses expired.\n"},
			{args: "-t ban -T expire soon", code: 1, stderr: "pfctl: expiry time: invalid\n"},
		}},
		{name: "kill: 1 table deleted.; second time 0 table deleted. rc 0. flush: 4 addresses deleted.", steps: []step{
			add("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4"),
			{args: "-t ban -T flush", stderr: "4 addresses deleted.\n"},
			{args: "-t ban -T kill", stderr: "1 table deleted.\n"},
			{args: "-t ban -T kill", stderr: "0 table deleted.\n"},
		}},
		{name: "const tables: pfctl: Operation not permitted 255", steps: []step{
			{args: "-a x -f -", stdin: "table <ban> persist const { 192.0.2.1 }\n"},
			{args: "-a x -t ban -T add 192.0.2.2", code: 255, stderr: "pfctl: Operation not permitted%.\n"},
			{args: "-a x -t ban -T delete 192.0.2.1", code: 255, stderr: "pfctl: Operation not permitted%.\n"},
		}},
		{name: "name: ANY other characters are accepted (even <)", steps: []step{
			{args: "-t <ban> -T add 192.0.2.2", stderr: "1 table created.\n1/1 addresses added.\n"},
		}},
		{name: "-n: prints (dummy). and changes nothing", steps: []step{
			{args: "-n -t ban -T add 192.0.2.2", stderr: "1 table created (dummy).\n1/1 addresses added (dummy).\n"},
			{args: "-t ban -T show", code: 255, stderr: "pfctl: Table does not exist%.\n"},
		}},
		{name: "same table name in another anchor: warning on stderr on every add, rc 0", steps: []step{
			{args: "-q -a x -t ban -T add 192.0.2.1"},
			{args: "-q -t ban -T add 192.0.2.1", stderr: "pfctl: warning: table <ban> already defined in anchor \"x\"\n"},
			{args: "-q -t ban -T add 192.0.2.1", stderr: "pfctl: warning: table <ban> already defined in anchor \"x\"\n"},
		}},
		{name: "-sT lists names; OpenBSD prints name@anchor", only: pftest.OpenBSD, steps: []step{
			{args: "-a x -f -", stdin: "table <ban> persist counters\nblock drop in quick proto tcp from <ban> to any port 25\n"},
			{args: "-a x -sT", stdout: "ban\n"},
			{args: "-a x -v -sT", stdout: "-pa-r-C\tban@x\n"},
		}},
		{name: "-sT lists names; FreeBSD name<TAB>anchor", only: pftest.FreeBSD, steps: []step{
			{args: "-a x -f -", stdin: "table <ban> persist counters\n"},
			{args: "-a x -v -sT", stdout: "-pa---C\tban\tx\n"},
		}},
		{name: "Reloading KEEPS a persist table's addresses only if the statement has no address list", steps: []step{
			{args: "-a x -f -", stdin: "table <ban> persist\nblock drop in quick proto tcp from <ban> to any port { 25 465 587 }\n"},
			{args: "-q -a x -t ban -T add 192.0.2.1"},
			{args: "-a x -f -", stdin: "table <ban> persist\nblock drop in quick proto tcp from <ban> to any port { 25 465 587 }\n"},
			{args: "-a x -t ban -T show", stdout: "   192.0.2.1\n"},
			{args: "-a x -f -", stdin: "table <ban> persist { 192.0.2.7 }\n"},
			{args: "-a x -t ban -T show", stdout: "   192.0.2.7\n"},
		}},
		{name: "After a pfctl -f a table defined there without persist is reset; a table made by -T add in an anchor survives; -F all kills it", steps: []step{
			{args: "-f -", stdin: "table <own>\nanchor \"x\"\nblock in from <own> to any\n"},
			{args: "-q -t own -T add 192.0.2.1"},
			{args: "-q -a x -t ban -T add 192.0.2.1"},
			{args: "-f -", stdin: "table <own>\nanchor \"x\"\nblock in from <own> to any\n"},
			{args: "-t own -T show"},
			{args: "-a x -t ban -T show", stdout: "   192.0.2.1\n"},
			{args: "-q -F all"},
			{args: "-a x -t ban -T show", code: 255, stderr: "pfctl: Table does not exist%.\n"},
		}},
		{name: "pfctl -sr prints a line starting anchor", steps: []step{
			{args: "-f -", stdin: "anchor \"postmoat\"\nanchor \"f2b/*\"\n"},
			{args: "-sr", stdout: "anchor \"postmoat\" all\nanchor \"f2b/*\" all\n"},
		}},
		{name: "pfctl -a missing -sT: rc 1 Anchor does not exist (OpenBSD)", only: pftest.OpenBSD, steps: []step{
			{args: "-a missing -sT", code: 1, stderr: "pfctl: Anchor does not exist\n"},
		}},
		{name: "FreeBSD Anchor or Ruleset does not exist.", only: pftest.FreeBSD, steps: []step{
			{args: "-a missing -sT", code: 1, stderr: "pfctl: Anchor or Ruleset does not exist.\n"},
		}},
		{name: "-a missing -t x -T show: 255 Table does not exist", steps: []step{
			{args: "-a missing -t x -T show", code: 255, stderr: "pfctl: Table does not exist%.\n"},
		}},
		{name: "killing the last table removes the empty anchor", steps: []step{
			{args: "-q -a x -t ban -T add 192.0.2.1"},
			{args: "-sA", stdout: "  x\n"},
			{args: "-q -a x -t ban -T kill"},
			{args: "-sA"},
		}},
		{name: "-a x/* with -T: 255 with NO message", steps: []step{
			{args: "-a x/* -t ban -T show", code: 255},
		}},
		{name: "macOS prints on EVERY call No ALTQ support in kernel / ALTQ related functions disabled", only: pftest.MacOS, steps: []step{
			{args: "-si", stdout: "Status: Enabled for 0 days 00:01:02           Debug: Urgent\n\nState Table                          Total             Rate\n  current entries                        0\n"},
		}},
	} {
		for _, flavour := range pftest.Flavours {
			if test.only != "" && test.only != flavour {
				continue
			}
			t.Run(test.name+"/"+string(flavour), func(t *testing.T) {
				w := pftest.New(t, flavour)
				for _, s := range test.steps {
					r := w.Run(s.stdin, strings.Fields(s.args)...)
					want := strings.ReplaceAll(s.stderr, "%.", map[bool]string{true: "", false: "."}[flavour == pftest.OpenBSD])
					got := notes(t, flavour, s.args, r.Stderr)
					if r.Code != s.code || r.Stdout != s.stdout || got != want {
						t.Errorf("pfctl %s: code %d, stdout %q, stderr %q\nwant %d, %q, %q", s.args, r.Code, r.Stdout, got, s.code, s.stdout, want)
					}
				}
			})
		}
	}
}

// notes takes off what a system prints on every such call, and holds that it
// does.
func notes(t *testing.T, f pftest.Flavour, args, stderr string) string {
	t.Helper()
	note := ""
	switch {
	case f == pftest.MacOS:
		note = "No ALTQ support in kernel\nALTQ related functions disabled\n"
	case f == pftest.OpenBSD && strings.Contains(args, "-f -") && !strings.Contains(args, "-T"):
		note = "/etc/pf.os: No such file or directory\n"
	}
	rest, ok := strings.CutPrefix(stderr, note)
	if !ok {
		t.Errorf("pfctl %s: no note in %q", args, stderr)
	}
	return rest
}

func TestUsage(t *testing.T) {
	w := pftest.New(t, pftest.OpenBSD)
	for name, args := range map[string]string{
		"max 31 chars, longer = usage rc 1":             "-t " + strings.Repeat("x", 32) + " -T add 192.0.2.1",
		"expire: no argument = usage rc 1":              "-t ban -T expire",
		"Unknown table command 'bogus' + usage, rc 1":   "-t ban -T bogus",
		"an option that is none":                        "-W",
		"-N and -S differ between systems: use neither": "-N -t ban -T add 192.0.2.1",
		"a table command without a table":               "-T show",
		"an option at the end that wants a value":       "-t",
	} {
		r := w.Run("", strings.Fields(args)...)
		if r.Code != 1 || !strings.Contains(r.Stderr, "usage: pfctl") || r.Stdout != "" {
			t.Errorf("%s: %+v", name, r)
		}
		if strings.Contains(args, "bogus") && !strings.HasPrefix(r.Stderr, "pfctl: Unknown table command 'bogus'\n") {
			t.Errorf("%s: %q", name, r.Stderr)
		}
	}
}

// TestDevice: "/dev/pf missing/permission: pfctl: /dev/pf: No such file or
// directory / : Permission denied, rc 1".
func TestDevice(t *testing.T) {
	for _, text := range []string{"No such file or directory", "Permission denied"} {
		w := pftest.New(t, pftest.OpenBSD)
		w.Change(func(s *pftest.State) { s.Device = text })
		r := w.Run("", "-si")
		if r.Code != 1 || r.Stderr != "pfctl: /dev/pf: "+text+"\n" {
			t.Errorf("%+v", r)
		}
	}
}

// TestCounters: "-v adds Cleared, and, only if the table has counters, In/Block,
// [In/Match OpenBSD only,] In/Pass, Out/...".
func TestCounters(t *testing.T) {
	w := pftest.New(t, pftest.OpenBSD)
	w.Must("table <ban> persist counters\ntable <plain> persist\nblock in from <ban> to any\n", "-f", "-")
	w.Must("", "-t", "ban", "-T", "add", "192.0.2.1")
	w.Must("", "-t", "plain", "-T", "add", "192.0.2.1")
	if got := w.Must("", "-v", "-t", "plain", "-T", "show"); strings.Contains(got, "Packets") || !strings.Contains(got, "\n\tCleared:     ") {
		t.Errorf("without counters: %q", got)
	}
	want := "\tIn/Block:    [ Packets: 0                  Bytes: 0                  ]\n\tIn/Match:    ["
	if got := w.Must("", "-v", "-t", "ban", "-T", "show"); !strings.Contains(got, want) || strings.Count(got, "Packets") != 6 {
		t.Errorf("with counters: %q", got)
	}
	w.Change(func(s *pftest.State) { s.Flavour = pftest.FreeBSD })
	if got := w.Must("", "-v", "-t", "ban", "-T", "show"); strings.Contains(got, "Match") || strings.Count(got, "Packets") != 4 {
		t.Errorf("FreeBSD: %q", got)
	}
}

// TestExpire: "deletes entries whose counters were cleared (= entry added) more
// than N s ago; a re-add does NOT refresh the time; replace keeps the time of
// unchanged entries".
func TestExpire(t *testing.T) {
	w := pftest.New(t, pftest.FreeBSD)
	w.Must("", "-t", "ban", "-T", "add", "192.0.2.1", "192.0.2.2", "192.0.2.3")
	w.Change(func(s *pftest.State) { s.Now += 100 })
	w.Must("", "-t", "ban", "-T", "add", "192.0.2.1")
	w.Must("", "-t", "ban", "-T", "replace", "192.0.2.1", "192.0.2.2", "192.0.2.4")
	if r := w.Run("", "-t", "ban", "-T", "expire", "100"); r.Stderr != "0/0 addresses expired.\n" {
		t.Errorf("not older: %+v", r)
	}
	if r := w.Run("", "-t", "ban", "-T", "expire", "99"); r.Stderr != "2/2 addresses expired.\n" {
		t.Errorf("older: %+v", r)
	}
	if got := w.Must("", "-t", "ban", "-T", "show"); got != "   192.0.2.4\n" {
		t.Errorf("left: %q", got)
	}
}

func list(n, from int) string {
	var s strings.Builder
	for i := range n {
		i += from
		fmt.Fprintf(&s, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
	}
	return s.String()
}

// TestPool: "All tables share one pool (default 200000). Exceeding: Cannot
// allocate memory 255, nothing applied. replace needs room for old+new at once.
// OpenBSD: enforced only once a pf.conf changes it".
func TestPool(t *testing.T) {
	w := pftest.New(t, pftest.FreeBSD)
	if got := w.Must("", "-sm"); !strings.Contains(got, "table-entries hard limit   200000\n") {
		t.Errorf("-sm: %q", got)
	}
	w.Change(func(s *pftest.State) { s.Limit = 100 })
	w.Must(list(60, 0), "-t", "a", "-T", "add", "-f", "-")
	for _, command := range []string{"add", "replace"} {
		r := w.Run(list(41, 100), "-q", "-a", "x", "-t", "b", "-T", command, "-f", "-")
		if r.Code != 255 || r.Stderr != "pfctl: Cannot allocate memory.\n" || w.Must("", "-a", "x", "-t", "b", "-T", "show") != "" {
			t.Errorf("%s beyond it: %+v", command, r)
		}
	}
	w.Must(list(40, 100), "-a", "x", "-t", "b", "-T", "add", "-f", "-")
	if r := w.Run(list(10, 200), "-t", "a", "-T", "replace", "-f", "-"); r.Code != 255 {
		t.Errorf("replace with room for the new ones only: %+v", r)
	}
	w.Change(func(s *pftest.State) { s.Flavour = pftest.OpenBSD })
	w.Must(list(41, 300), "-t", "a", "-T", "add", "-f", "-")
	w.Load("set limit table-entries 100\n")
	if r := w.Run("", "-t", "a", "-T", "add", "192.0.2.1"); r.Code != 255 || r.Stderr != "pfctl: Cannot allocate memory\n" {
		t.Errorf("OpenBSD with a limit of its own: %+v", r)
	}
}

// TestRequest: "FreeBSD: more than 65535 addresses per call, or >32768 in
// replace, gives pfctl: Invalid argument.".
func TestRequest(t *testing.T) {
	w := pftest.New(t, pftest.FreeBSD)
	for command, most := range map[string]int{"add": 65535, "replace": 32768} {
		if r := w.Run(list(most+1, 0), "-q", "-t", command, "-T", command, "-f", "-"); r.Code != 255 || r.Stderr != "pfctl: Invalid argument.\n" {
			t.Errorf("%s: %d, %q", command, r.Code, r.Stderr)
		}
		w.Must(list(most, 0), "-t", command, "-T", command, "-f", "-")
	}
}

// TestKillStates: "killed N states from 1 sources and 0 destinations", a network
// prefix is allowed; "-q -k A -t T -T add A in one call works; states to the
// peer: -k 0.0.0.0/0 -k A".
func TestKillStates(t *testing.T) {
	w := pftest.New(t, pftest.OpenBSD)
	w.Change(func(s *pftest.State) {
		s.States = []pftest.Conn{
			conn(true, "192.0.2.25:25", "198.51.100.7:1000"), conn(true, "192.0.2.25:22", "198.51.100.7:1001"),
			conn(true, "192.0.2.25:25", "198.51.100.8:1000"), conn(false, "192.0.2.25:2000", "198.51.100.7:25"),
			conn(true, "[2001:db8::25]:25", "[2001:db8:7::1]:1000"),
		}
	})
	want := "all tcp 192.0.2.25:25 <- 198.51.100.7:1000       ESTABLISHED:ESTABLISHED\n"
	if got := w.Must("", "-s", "states"); !strings.HasPrefix(got, want) ||
		!strings.Contains(got, "all tcp 192.0.2.25:2000 -> 198.51.100.7:25 ") || !strings.Contains(got, "all tcp 2001:db8::25[25] <- 2001:db8:7::1[1000] ") {
		t.Errorf("-s states: %q", got)
	}
	if r := w.Run("", "-k", "198.51.100.7"); r.Stderr != "killed 2 states from 1 sources and 0 destinations\n" {
		t.Errorf("a host: %+v", r)
	}
	if r := w.Run("", "-k", "2001:db8:7::/64"); r.Stderr != "killed 1 states from 1 sources and 0 destinations\n" {
		t.Errorf("a network: %+v", r)
	}
	if r := w.Run("", "-k", "0.0.0.0/0", "-k", "198.51.100.7"); r.Stderr != "killed 1 states from 1 sources and 1 destinations\n" {
		t.Errorf("to the peer: %+v", r)
	}
	w.Must("", "-q", "-k", "198.51.100.8", "-t", "ban", "-T", "add", "198.51.100.8")
	if s := w.State(); len(s.States) != 0 || len(s.Anchors[""].Tables["ban"].Addrs) != 1 {
		t.Errorf("both in one call: %+v", s)
	}
}

// TestRules: the last matching rule decides, or the first quick one, which ends
// everything; names of anchors are relative; "the anchor is inert unless the
// main ruleset calls it"; "an anchor rule is only evaluated for matching
// packets" (pf.conf(5)).
func TestRules(t *testing.T) {
	w := pftest.New(t, pftest.FreeBSD)
	w.Must("table <ban> persist { 198.51.100.0/24 !198.51.100.9 }\nblock drop in quick proto tcp from <ban> to any port 25\n", "-a", "x/y", "-f", "-")
	w.Must("table <good> persist { 198.51.100.7 }\nanchor \"y\" in proto tcp from ! <good> to any\n", "-a", "x", "-f", "-")
	is := func(what, client string, port uint16, want bool) {
		t.Helper()
		if got := w.Cuts(client, port); got != want {
			t.Errorf("%s: Cuts(%s, %d) = %v", what, client, port, got)
		}
	}
	is("not called", "198.51.100.1", 25, false)
	w.Load("anchor \"x\"\npass in all\nblock in proto tcp from 192.0.2.1 to any\n")
	is("called", "198.51.100.1", 25, true)
	is("another port", "198.51.100.1", 26, false)
	is("negated", "198.51.100.9", 25, false)
	is("not entered", "198.51.100.7", 25, false)
	is("the last one", "192.0.2.1", 25, true)
	w.Load("pass in quick proto tcp from any to any port 25\nanchor \"x\"\n")
	is("behind a quick one", "198.51.100.1", 25, false)
	w.Load("anchor \"x/*\"\n")
	is("a wildcard goes below", "198.51.100.7", 25, true)
	w.Run("", "-d")
	is("pf is off", "198.51.100.7", 25, false)
	if r := w.Run("block in fro <x> to any\n", "-f", "-"); r.Code != 1 || !strings.Contains(r.Stderr, "stdin:1: syntax error") || !strings.Contains(w.Must("", "-sr"), "x/*") {
		t.Errorf("bad pf.conf: %+v", r)
	}
}
