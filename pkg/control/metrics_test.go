package control

import (
	"bytes"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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
	r := prometheus.NewPedanticRegistry()
	f := newFake(t)
	r.MustRegister(reading{&f.counters})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range families {
		got = append(got, m.GetName())
		if m.GetHelp() == "" {
			t.Errorf("%s says nothing of itself", m.GetName())
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
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
	for _, prefix := range []string{"\ngo_goroutines ", "\nprocess_"} {
		if !strings.Contains(text.String(), prefix) {
			t.Errorf("nothing begins with %q", strings.TrimSpace(prefix))
		}
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
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(reading{&daemon.Counters{Lines: []daemon.Count{{Label: "a\xffb", N: 1}, {Label: "a\xffb", N: 2}, {Label: "a\"\n", N: 1}, {N: 1}}}})
	n, err := testutil.GatherAndCount(r, "postmoat_lines_total")
	if err != nil || n != 3 {
		t.Errorf("%d %v", n, err)
	}
}
