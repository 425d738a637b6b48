package config

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"net/netip"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
)

var update = flag.Bool("update", false, "rewrite the expected errors; review the difference")

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }),
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(Config{}, "At"), // see TestWarnings
}

// mistakes runs read over each file of a folder and compares its error with
// the text beside the file.
func mistakes(t *testing.T, folder string, read func(name string, text []byte) error) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := "no error"
		if err := read(filepath.Base(file), text); err != nil {
			got = err.Error()
		}
		beside := strings.TrimSuffix(file, ".yaml") + ".err"
		if *update {
			if err := os.WriteFile(beside, []byte(got+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(beside)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimSpace(string(want)), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestMistakes(t *testing.T) {
	mistakes(t, "bad", func(name string, text []byte) error {
		_, err := parse(name, text)
		return err
	})
}

func TestEmptyFilesAreTheDefault(t *testing.T) {
	for _, text := range []string{"", "{}", "# nothing\n", "---\n", "~\n", "ban:\nallow: {}\nstate:\n", Defaults()} {
		c, err := parse("x.yaml", []byte(text))
		if err != nil {
			t.Errorf("%.30q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(Default(), c, compare); diff != "" {
			t.Errorf("%.30q (-default +got):\n%s", text, diff)
		}
	}
}

func TestDefaultWorks(t *testing.T) {
	c := Default()
	if err := c.Cover4.Check(32); err != nil {
		t.Error(err)
	}
	if err := c.Cover6.Check(64); err != nil {
		t.Error(err)
	}
	if w := c.Warnings(inForce(t, c, oneRule)); len(w) != 0 {
		t.Errorf("the default warns: %v", w)
	}
}

func TestEverythingSet(t *testing.T) {
	got, err := Load("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	at := func(line int) rule.Pos { return rule.Pos{File: "testdata/good/full.yaml", Line: line} }
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Skip("no time zones on this host")
	}
	want := &Config{
		Sources: Sources{List: []Source{
			{File: "/var/log/mail.log", Timezone: vienna, Pos: at(2)},
			{Journal: Journal{Slice: "system-postfix.slice", Identifiers: []string{"dovecot"}}, Pos: at(4)},
			{File: filepath.Join("testdata/good", "other.log"), Pos: at(5)},
		}},
		Rules: []string{"/etc/a.yaml", Builtin, filepath.Join("testdata/good", "rules.d")},
		Windows: []score.Window{
			{Name: "fast", Span: 90, Limit: 3},
			{Name: "slow", Span: 30 * day, Limit: 40, Share: 125},
			{Name: "wide", Span: 5400, Limit: 60, Share: 1000, Width4: 22, Width6: 48, Clients: 20},
		},
		Ban:    Ban{Time: 1800, Max: 36 * 3600, Memory: 7 * day, Parole: 60},
		Cover4: cover.Options{Price: 300, Rungs: []cover.Rung{{Bits: 26, Need: 3}, {Bits: 24, Need: 6}}},
		Cover6: cover.Options{Price: 4096},
		Budget: 1000,
		Allow: Allow{
			Networks: []Network{{netip.MustParsePrefix("192.0.2.0/24"), at(20)}, {netip.MustParsePrefix("2001:db8::/32"), at(21)}},
			Files:    []string{"/etc/allow"}, Names: []string{"mx.partner.example"},
		},
		Doors:    [maillog.NumDoors][]uint16{{25, 2525}, {587}},
		Firewall: Firewall{"pf", "reject"},
		Breaker:  Breaker{5000, 1},
		State:    "/var/db/postmoat",
		Control:  Control{"/var/run/p.sock", "", 0o600},
		Metrics:  Metrics{"[::1]:9155"},
		Clients:  50000,
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadOfFiles(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("missing file: %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, []byte(strings.Repeat("# x\n", maxFile)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("big file: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

// inForce are some rules, compiled for the windows of c.
func inForce(t *testing.T, c *Config, text string) *rule.Set {
	t.Helper()
	specs, err := parseRules("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range specs {
		specs[i].Builtin = true // a window that is not there makes them idle
	}
	var windows []string
	for _, w := range c.Windows {
		windows = append(windows, w.Name)
	}
	set, err := rule.Compile(specs, windows)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const (
	oneRule  = "rules: [{name: a, about: x, when: {kind: smtpd.reject}, weight: 1}]"
	twoRules = "rules: [{name: a, about: x, when: {kind: smtpd.reject}, weight: 1, windows: [burst]}, {name: b, about: x, when: {kind: smtpd.reject}, weight: 1, windows: [day]}]"
)

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		text, rules string
		never       int // warnings that say that nobody will be banned
		want        []string
	}{
		{"rules: []", "", 1, []string{"x.yaml:1: rules: there are none, so nothing is an offence and nobody will ever be banned"}},
		{"\nrules: [/etc/a.yaml]", "", 1, []string{"x.yaml:2: rules: none in them is in force, so nothing"}},
		{"", "", 1, []string{"rules: none in them is in force"}},
		{"windows:\n  own: {span: 1h, limit: 9}", twoRules, 1, []string{"x.yaml:1: windows: none of the 2 shipped rules names one of these"}},
		{"windows:\n  burst: {span: 1h, limit: 9}", twoRules, 0, []string{"x.yaml:1: windows: 1 shipped rules are out, because none of their windows is configured: b"}},
		{"windows:\n  burst: {span: 1h, limit: 9}\n  day: {span: 1h, limit: 9}\n  own: {span: 1h, limit: 9}", twoRules, 0, []string{"x.yaml:4: windows.own: no rule names it"}},
		{"allow: {networks: [0.0.0.0/0]}", oneRule, 1, []string{"x.yaml:1: allow.networks: 0.0.0.0/0 is everybody"}},
		{"allow:\n  private: false", oneRule, 0, []string{"x.yaml:2: allow.private: false"}},
		{"doors: {login: []}", oneRule, 0, []string{"x.yaml:1: doors.login: has no ports"}},
		{"rules: []\nallow: {private: false}", "", 1, []string{"x.yaml:1: rules: there", "x.yaml:2: allow.private"}},
	} {
		cfg, err := parse("x.yaml", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		set := inForce(t, cfg, c.rules)
		got := cfg.Warnings(set)
		if len(got) != len(c.want) {
			t.Errorf("%q: %q", c.text, got)
			continue
		}
		for i, w := range c.want {
			if !strings.HasPrefix(got[i], w) {
				t.Errorf("%q: %q, want %q", c.text, got[i], w)
			}
		}
		if never := cfg.Never(set); !slices.Equal(never, got[:c.never]) {
			t.Errorf("%q: nobody is banned, says %q", c.text, never)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
	}{
		{"90s", 90}, {"10m", 600}, {"24h", 86400}, {"30d", 30 * day}, {"1h30m", 5400}, {"1d1h1m1s", 90061}, {"168h", 7 * day},
		{"", -1}, {"10", -1}, {"m", -1}, {"1m1h", -1}, {"1h1h", -1}, {"1.5h", -1}, {"-1h", -1}, {"1 h", -1}, {"1h ", -1}, {"99999999999999d", -1},
	} {
		got, err := parseDuration(c.text)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("%q: %d, want %d", c.text, got, c.want)
		}
		if back, _ := parseDuration(Duration(got)); err == nil && back != got {
			t.Errorf("%q is written as %q", c.text, Duration(got))
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(Defaults()))
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse("x.yaml", text)
		if (c == nil) == (err == nil) {
			t.Errorf("config %v, error %v", c, err)
		}
		if c != nil && (c.Cover4.Check(32) != nil || c.Cover6.Check(64) != nil || len(c.Windows) == 0 || c.Ban.Max < c.Ban.Time) {
			t.Errorf("taken, and does not work: %+v", c)
		}
	})
}
