package control

import (
	"bytes"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// contract is the list of names as it was agreed on. Dashboards use them.
const contract = `postmoat_build_info postmoat_lines_total postmoat_events_total postmoat_offences_total
postmoat_bans postmoat_bans_started_total postmoat_bans_ended_total postmoat_firewall_entries postmoat_firewall_in_step
postmoat_firewall_repairs_total postmoat_firewall_errors_total postmoat_prevented_packets_total postmoat_prevented_lines_total
postmoat_sockets_cut_total postmoat_source_lag_bytes postmoat_source_last_line_timestamp_seconds postmoat_allowlist_entries
postmoat_allowlist_hits_total postmoat_not_understood_total postmoat_not_understood_share postmoat_clients_tracked
postmoat_clients_known_good postmoat_clients_evicted_total postmoat_breaker_tripped postmoat_breaker_trips_total postmoat_paused
postmoat_alarms postmoat_reaction_seconds postmoat_snapshot_timestamp_seconds postmoat_snapshot_bytes postmoat_snapshot_errors_total`

// TestMetricNames: the names are those of the contract, and all of them are
// there when there is something to tell.
func TestMetricNames(t *testing.T) {
	want := strings.Fields(contract)
	slices.Sort(want)
	if !slices.Equal(MetricNames(), want) {
		t.Errorf("%v, want %v", MetricNames(), want)
	}
	text := exposition(gather(&newFake(t).counters))
	families := parsed(t, text)
	if got := slices.Sorted(maps.Keys(families)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for name, f := range families {
		if f.GetHelp() == "" {
			t.Errorf("%s says nothing of itself", name)
		}
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// parsed is what Prometheus reads in a text.
func parsed(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

// TestMetricsText scrapes over TCP, as Prometheus does.
func TestMetricsText(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	run(t, NewServer(Options{Daemon: f}).ServeMetrics, l)
	url := "http://" + l.Addr().String()
	const want = `
# HELP postmoat_alarms Alarms that stand, by kind.
# TYPE postmoat_alarms gauge
postmoat_alarms{kind="quiet"} 2
# HELP postmoat_bans Bans in force.
# TYPE postmoat_bans gauge
postmoat_bans{bits="24",door="smtp",family="ipv4"} 1
postmoat_bans{bits="48",door="login",family="ipv6"} 2
# HELP postmoat_bans_started_total Bans that began, by the way they came about.
# TYPE postmoat_bans_started_total counter
postmoat_bans_started_total{bits="24",door="smtp",family="ipv4",reason="solved"} 6
# HELP postmoat_breaker_tripped 1 if widening is stopped.
# TYPE postmoat_breaker_tripped gauge
postmoat_breaker_tripped 1
# HELP postmoat_build_info Always 1; the version is its label.
# TYPE postmoat_build_info gauge
postmoat_build_info{version="1.2.3"} 1
# HELP postmoat_events_total Events read from lines.
# TYPE postmoat_events_total counter
postmoat_events_total{kind="smtpd.reject"} 4
# HELP postmoat_not_understood_share Their share of the lines of Postfix and Dovecot of late, 0 to 1.
# TYPE postmoat_not_understood_share gauge
postmoat_not_understood_share 0.25
# HELP postmoat_reaction_seconds Time from a line being read to the packets of its client being dropped.
# TYPE postmoat_reaction_seconds histogram
postmoat_reaction_seconds_bucket{le="0.001"} 1
postmoat_reaction_seconds_bucket{le="0.01"} 3
postmoat_reaction_seconds_bucket{le="+Inf"} 4
postmoat_reaction_seconds_sum 0.5
postmoat_reaction_seconds_count 4
# HELP postmoat_source_lag_bytes Bytes of a source still to be read.
# TYPE postmoat_source_lag_bytes gauge
postmoat_source_lag_bytes{source="/var/log/mail.log"} 12
# HELP postmoat_source_last_line_timestamp_seconds When the newest line of a source was read; before the first, since when it is followed.
# TYPE postmoat_source_last_line_timestamp_seconds gauge
postmoat_source_last_line_timestamp_seconds{source="/var/log/mail.log"} 1.8e+09
postmoat_source_last_line_timestamp_seconds{source="journal"} 1.7999928e+09
`
	names := []string{
		"postmoat_alarms", "postmoat_bans", "postmoat_bans_started_total", "postmoat_breaker_tripped", "postmoat_build_info",
		"postmoat_events_total", "postmoat_not_understood_share", "postmoat_reaction_seconds", "postmoat_source_lag_bytes",
		"postmoat_source_last_line_timestamp_seconds",
	}
	if err := testutil.ScrapeAndCompare(url+"/metrics", strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	// The counters have no other names to be told apart by than their values.
	var text bytes.Buffer
	path, _, _ := serving(t, f)
	c := Dial(path)
	defer c.Close()
	if err := c.Metrics(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"postmoat_not_understood_total 11", "postmoat_allowlist_hits_total 12", "postmoat_prevented_lines_total 13",
		"postmoat_prevented_packets_total 14", "postmoat_clients_evicted_total 15", "postmoat_snapshot_errors_total 16",
		"postmoat_firewall_entries 3", "postmoat_firewall_in_step 1", "postmoat_firewall_repairs_total 1",
		"postmoat_firewall_errors_total 2", "postmoat_sockets_cut_total 4", "postmoat_clients_tracked 7",
		"postmoat_clients_known_good 2", "postmoat_allowlist_entries 20", "postmoat_paused 0", "postmoat_snapshot_bytes 1000",
		`postmoat_bans_ended_total{end="expired"} 5`, `postmoat_offences_total{rule="sasl"} 3`,
	} {
		if !strings.Contains(text.String(), "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if got := scraped(t, url); got.FormatType() != expfmt.TypeTextPlain {
		t.Errorf("Prometheus would not read %q as text", got)
	}
}

// scraped is the format that an answer says it has.
func scraped(t *testing.T, url string) expfmt.Format {
	t.Helper()
	a, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	return expfmt.ResponseFormat(a.Header)
}

// TestMetricsRuntime holds those of the process to what it can see of itself.
func TestMetricsRuntime(t *testing.T) {
	started := time.Now().Add(-time.Minute)
	text := exposition(runtimeMetrics(started))
	families := parsed(t, text)
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	value := func(name string) float64 {
		m := families[name].GetMetric()
		if len(m) != 1 {
			t.Errorf("%s: %d values", name, len(m))
			return 0
		}
		return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue()
	}
	if v := value("process_start_time_seconds"); v != epoch(started) {
		t.Errorf("started at %v", v)
	}
	for name, atLeast := range map[string]float64{
		"go_info": 1, "go_goroutines": 2, "go_memstats_alloc_bytes": 1 << 12, "go_memstats_alloc_bytes_total": 1 << 12,
		"go_memstats_next_gc_bytes": 1 << 20, "go_memstats_sys_bytes": 1 << 20, "process_cpu_seconds_total": 1e-4, "process_max_fds": 16,
	} {
		if v := value(name); v < atLeast || v > 1e15 && name != "process_max_fds" {
			t.Errorf("%s is %v", name, v)
		}
	}
	if v := families["go_info"].GetMetric()[0].GetLabel()[0].GetValue(); v != runtime.Version() {
		t.Errorf("go_info of %s", v)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if v, r := value("process_virtual_memory_bytes"), value("process_resident_memory_bytes"); r < 1<<20 || v < r {
		t.Errorf("%v bytes of %v are resident", r, v)
	}
	before := value("process_open_fds")
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	families = parsed(t, exposition(runtimeMetrics(started)))
	if after := value("process_open_fds"); before < 3 || after != before+1 {
		t.Errorf("%v open files, then %v with one more", before, after)
	}
}

// TestMetricsOnly: over TCP there is nothing but metrics.
func TestMetricsOnly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run(t, NewServer(Options{Daemon: newFake(t)}).ServeMetrics, l)
	url := "http://" + l.Addr().String()
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/v1/status": 404, "/v1/bans": 404, "/healthz": 404, "/metrics/x": 404} {
		a, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, a.StatusCode, want)
		}
	}
	for _, path := range []string{"/metrics", "/v1/pause"} {
		a, err := http.Post(url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != 405 && a.StatusCode != 404 {
			t.Errorf("POST %s: %d", path, a.StatusCode)
		}
	}
}

// TestMetricsOddLabels: what is no text, or is there twice, breaks nothing.
func TestMetricsOddLabels(t *testing.T) {
	odd := `a\n"` + "\n"
	text := exposition(gather(&daemon.Counters{Lines: []daemon.Count{{Label: "a\xffb", N: 1}, {Label: "a\xffb", N: 2}, {Label: odd, N: 4}, {N: 5}}}))
	got := map[string]float64{}
	for _, m := range parsed(t, text)["postmoat_lines_total"].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	if want := map[string]float64{"a?b": 3, odd: 4, "": 5}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestExposition: what Prometheus reads is what was written, odd numbers and
// help of several lines too.
func TestExposition(t *testing.T) {
	text := exposition([]family{
		{name: "nothing", help: "x", kind: gauge},
		{"a", "two\nlines and \\n", gauge, []sample{{"", []string{"x", "1"}, math.Inf(1)}, {"", []string{"x", "2"}, math.Inf(-1)}, {"", []string{"x", "3", "y", "4"}, 1e-300}}},
	})
	families := parsed(t, text)
	if len(families) != 1 || families["a"].GetHelp() != "two\nlines and \\n" {
		t.Errorf("%v", families)
	}
	for i, want := range []float64{math.Inf(1), math.Inf(-1), 1e-300} {
		if m := families["a"].GetMetric()[i]; m.GetGauge().GetValue() != want || len(m.GetLabel()) != max(1, i) {
			t.Errorf("%v, want %v", m, want)
		}
	}
}
