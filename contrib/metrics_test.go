package contrib_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v3"

	"github.com/postmoat/postmoat/pkg/control"
)

// contract are the metrics of the daemon and their labels, which alerts and
// dashboard use.
var contract = map[string][]string{
	"postmoat_build_info":                         {"version"},
	"postmoat_lines_total":                        {"source"},
	"postmoat_events_total":                       {"kind"},
	"postmoat_offences_total":                     {"rule"},
	"postmoat_bans":                               {"bits", "door", "family"},
	"postmoat_bans_started_total":                 {"bits", "door", "family", "reason"},
	"postmoat_bans_ended_total":                   {"end"},
	"postmoat_firewall_entries":                   nil,
	"postmoat_firewall_in_step":                   nil,
	"postmoat_firewall_repairs_total":             nil,
	"postmoat_firewall_errors_total":              nil,
	"postmoat_prevented_packets_total":            nil,
	"postmoat_prevented_lines_total":              nil,
	"postmoat_sockets_cut_total":                  nil,
	"postmoat_source_lag_bytes":                   {"source"},
	"postmoat_source_last_line_timestamp_seconds": {"source"},
	"postmoat_allowlist_entries":                  nil,
	"postmoat_allowlist_hits_total":               nil,
	"postmoat_not_understood_total":               nil,
	"postmoat_not_understood_share":               nil,
	"postmoat_clients_tracked":                    nil,
	"postmoat_clients_known_good":                 nil,
	"postmoat_clients_evicted_total":              nil,
	"postmoat_breaker_tripped":                    nil,
	"postmoat_breaker_trips_total":                nil,
	"postmoat_paused":                             nil,
	"postmoat_alarms":                             {"kind"},
	"postmoat_reaction_seconds":                   nil,
	"postmoat_reaction_seconds_bucket":            {"le"},
	"postmoat_snapshot_timestamp_seconds":         nil,
	"postmoat_snapshot_bytes":                     nil,
	"postmoat_snapshot_errors_total":              nil,

	// Those of every program in Go, and of Prometheus itself.
	"process_resident_memory_bytes": nil,
	"process_cpu_seconds_total":     nil,
	"go_goroutines":                 nil,
	"up":                            nil,
}

// TestContract: the daemon has these metrics, with these labels, and no others.
func TestContract(t *testing.T) {
	ours := map[string][]string{}
	for name, labels := range contract {
		if strings.HasPrefix(name, "postmoat_") && !strings.HasSuffix(name, "_bucket") {
			ours[name] = labels
		}
	}
	theirs := map[string][]string{}
	source := read(t, "../pkg/control/metrics.go")
	for _, name := range control.MetricNames() {
		theirs[name] = nil
		if name == "postmoat_reaction_seconds" {
			continue // a histogram
		}
		m := regexp.MustCompile(`\{"` + name + `", ".*", \w+, (?:nil|\[\]string\{(.*?)\}), `).FindStringSubmatch(source)
		if m == nil {
			t.Errorf("the labels of %s were not found", name)
		} else if m[1] != "" {
			theirs[name] = strings.Split(strings.ReplaceAll(m[1], `"`, ""), ", ")
		}
	}
	if diff := cmp.Diff(ours, theirs, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("metrics (-in the contract +of the daemon):\n%s", diff)
	}
}

var (
	metric   = regexp.MustCompile(`\b(?:postmoat|process|go)_[a-z_]+|\bup\b`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	selector = regexp.MustCompile(`([a-z_]+)\{([^}]*)\}`)
	label    = regexp.MustCompile(`([a-z_]+)=~?"`)
	template = regexp.MustCompile(`\{\{ *(?:\$labels\.)?([a-z]+) *\}\}`)
)

// checkExpr holds an expression of PromQL to the contract; more are texts whose
// templates show labels of its result. It returns the metrics of the expression.
func checkExpr(t *testing.T, where, expr string, more ...string) []string {
	t.Helper()
	bare := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(expr, "")
	used := metric.FindAllString(bare, -1)
	if len(used) == 0 {
		t.Errorf("%s: no metric in %q", where, expr)
	}
	allowed := []string{"instance", "job"} // which Prometheus adds
	for _, name := range used {
		labels, ok := contract[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		allowed = append(allowed, labels...)
	}
	var asked []string
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			asked = append(asked, strings.TrimSpace(l))
		}
	}
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			asked = append(asked, l[1])
		}
	}
	for _, text := range more {
		for _, m := range template.FindAllStringSubmatch(text, -1) {
			asked = append(asked, m[1])
		}
	}
	for _, l := range asked {
		if !slices.Contains(allowed, l) {
			t.Errorf("%s: %q asks for the label %s, which none of %v has", where, expr, l, used)
		}
	}
	return used
}

// TestAlerts: every alert uses metrics and labels that there are, and says what
// to do.
func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(read(t, "prometheus/alerts.yaml")))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Postmoat") {
				t.Errorf("alert %q: named twice, or not for us", r.Alert)
			}
			seen[r.Alert] = true
			checkExpr(t, r.Alert, r.Expr, r.Annotations["summary"], r.Annotations["description"])
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s does not say what it is about and what to do", r.Alert)
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" && s != "info" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
		}
	}
	for _, want := range []string{"Down", "SourceQuiet", "FirewallNotInStep", "FirewallErrors", "SnapshotOld", "BreakerTripped", "NotUnderstood", "AllowlistEmpty"} {
		if !seen["Postmoat"+want] {
			t.Errorf("there is no alert Postmoat%s", want)
		}
	}
}

// TestAlertsFire: by the unit tests of promtool.
func TestAlertsFire(t *testing.T) {
	need(t, "promtool")
	output(t, "promtool", "check", "rules", "prometheus/alerts.yaml")
	cmd := exec.Command("promtool", "test", "rules", "alerts_test.yaml")
	cmd.Dir = "prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// What does not hold is seen.
	folder := t.TempDir()
	never := regexp.MustCompile(`postmoat_breaker_tripped == 1`).ReplaceAllString(read(t, "prometheus/alerts.yaml"), "postmoat_breaker_tripped == 2")
	for name, text := range map[string]string{"alerts.yaml": never, "alerts_test.yaml": read(t, "prometheus/alerts_test.yaml")} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd = exec.Command("promtool", "test", "rules", "alerts_test.yaml")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("an alert that never fires was not seen:\n%s", out)
	}
}

// A panel is one of a dashboard.
type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat, RefID string }
}

// TestDashboard: Grafana can read it, panels do not overlap, each says what it
// shows, and all of the metrics that tell something are on it.
func TestDashboard(t *testing.T) {
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []panel
		Templating    struct{ List []struct{ Name, Type string } }
	}
	text := read(t, "grafana/postmoat.json")
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 30 || len(d.Panels) < 20 {
		t.Errorf("uid %q, title %q, schema %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
	}
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
	}
	for _, m := range regexp.MustCompile(`\$\{?([a-z_]+)`).FindAllStringSubmatch(text, -1) {
		if !variables[m[1]] {
			t.Errorf("there is no variable %s", m[1])
		}
	}
	taken := map[[2]int]string{}
	ids, shown := map[int]bool{}, map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: id %d is there twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("panel %q lies on %q, or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing, or does not say what", p.Title)
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if refs[q.RefID] || q.RefID == "" {
				t.Errorf("panel %q: target %q is there twice", p.Title, q.RefID)
			}
			refs[q.RefID] = true
			for _, name := range checkExpr(t, p.Title, q.Expr, q.LegendFormat) {
				shown[strings.TrimSuffix(name, "_bucket")] = true
			}
		}
	}
	for name := range contract {
		if !shown[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("%s is on no panel", name)
		}
	}
}
