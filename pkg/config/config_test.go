package config

import (
	"flag"
	"os"
	"path/filepath"
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
	if w := c.Warnings(); len(w) != 0 {
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

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"rules: []", "rules: there are none"},
		{"allow: {networks: [0.0.0.0/0]}", "x.yaml:1: allow.networks: 0.0.0.0/0 is everybody"},
		{"allow: {private: false}", "allow.private: false"},
		{"doors: {login: []}", "doors.login: has no ports"},
	} {
		cfg, err := parse("x.yaml", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if w := cfg.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], c.want) {
			t.Errorf("%s: %q", c.text, w)
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
