package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/loggen"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/report"
	"github.com/postmoat/postmoat/pkg/rule"
	builtin "github.com/postmoat/postmoat/rules"
)

// shipped is an engine with the shipped rules and the default configuration.
func shipped(t testing.TB, allow ...string) (*engine.Engine, *rule.Set) {
	t.Helper()
	return engineOf(t, []string{config.Builtin}, allow...)
}

// engineOf is an engine with the rules of some folders.
func engineOf(t testing.TB, folders []string, allow ...string) (*engine.Engine, *rule.Set) {
	t.Helper()
	cfg := config.Default()
	specs, err := config.LoadRules(folders, builtin.FS)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range cfg.Windows {
		names = append(names, w.Name)
	}
	rules, err := rule.Compile(specs, names)
	if err != nil {
		t.Fatal(err)
	}
	set := new(prefix.Set)
	for _, s := range allow {
		p, err := prefix.ParseAny(s)
		if err != nil {
			t.Fatal(err)
		}
		set.Insert(p)
	}
	for _, p := range prefix.Special() {
		set.Insert(p)
	}
	return engine.New(engine.Options{
		Rules: rules, Windows: cfg.Windows, Allow: set, Clients: cfg.Clients,
		Ban: ban.Options{
			Time: cfg.Ban.Time, Max: cfg.Ban.Max, Memory: cfg.Ban.Memory, Parole: cfg.Ban.Parole,
			Cover4: cfg.Cover4, Cover6: cfg.Cover6, Budget: cfg.Budget,
		},
		AddressesPerMinute: cfg.Breaker.AddressesPerMinute, KnownGood: cfg.Breaker.KnownGood,
	}), rules
}

// logOf writes a mix to a file.
func logOf(t testing.TB, o loggen.Options) (string, loggen.Truth) {
	t.Helper()
	var b bytes.Buffer
	truth, err := loggen.Write(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), o.Mix+".log")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, truth.End, truth.End); err != nil {
		t.Fatal(err)
	}
	return path, truth
}

func BenchmarkReplay(b *testing.B) {
	for _, mix := range []string{"a", "b", "c"} {
		b.Run(mix, func(b *testing.B) {
			path, truth := logOf(b, loggen.Options{Mix: mix, Lines: 300_000, Seed: 1})
			b.SetBytes(truth.Bytes)
			for b.Loop() {
				e, rules := shipped(b)
				if _, err := report.Replay(b.Context(), e, rules, report.Options{Paths: []string{path}, Location: time.UTC, Top: 10}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(truth.Lines), "ns/line")
		})
	}
}
