package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/daemon"
)

func statusCommand() *cobra.Command {
	var (
		conn   connection
		format string
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the daemon is doing",
		Long: `status says at a glance whether all is well: the logs that are read and how far
behind, what is banned, whether the firewall is in step, who is close to a limit,
and each alarm with what to do about it.

Exit code 0: all is well. 1: something is not, or the daemon does not run.`,
		Example: "  postmoat status\n  postmoat status --format json | jq .alarms",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			d, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer d.Close()
			st, err := d.Status(c.Context())
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if format == "json" {
				err = writeJSON(out, st)
			} else {
				err = showStatus(out, &st, time.Now())
			}
			if err == nil && !st.Healthy {
				err = errors.New("not all is well: " + unwell(&st))
			}
			return err
		},
	}
	conn.add(c)
	addFormat(c, &format)
	return c
}

// unwell sums up why a daemon is not healthy.
func unwell(st *daemon.Status) string {
	switch {
	case len(st.Alarms) > 0:
		return several(len(st.Alarms), "alarm")
	case st.Phase != "running":
		return "the daemon is " + clean(st.Phase)
	case !st.Firewall.InStep:
		return "the firewall is not in step"
	}
	return "the daemon says so"
}

func showStatus(out io.Writer, st *daemon.Status, now time.Time) error {
	word := "all is well"
	if !st.Healthy {
		word = "NOT WELL: " + unwell(st)
	}
	fmt.Fprintf(out, "postmoat %s is %s since %s: %s\n", clean(st.Version), clean(st.Phase), ago(st.Started, now), word)
	if st.DryRun {
		fmt.Fprintln(out, "  dry run: the firewall is not touched")
	}
	if st.Paused {
		fmt.Fprintf(out, "  paused by %s: nobody new is banned; 'postmoat resume' ends that\n", clean(st.PausedBy))
	}
	for _, a := range st.Alarms {
		fmt.Fprintf(out, "  ! %s since %s: %s%s\n", clean(a.Kind), ago(a.Since, now), clean(a.Text), advice(a.Kind))
	}

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	for i := range st.Sources {
		label := ""
		if i == 0 {
			label = "logs"
		}
		fmt.Fprintf(w, "%s\t%s\n", label, sourceLine(&st.Sources[i], now))
	}
	fmt.Fprintf(w, "rates\t%.3g lines/s, %.3g offences/s; %.2g %% not understood\n", st.LinesPerSecond, st.OffencesPerSecond, 100*st.NotUnderstood)
	fmt.Fprintf(w, "bans\t%s, of %s and %s\n", number(uint64(st.Bans)), several(st.Hosts, "host"), several(st.Networks, "network"))
	fmt.Fprintf(w, "clients\t%s with evidence, %s known good\n", number(uint64(st.Clients)), number(uint64(st.KnownGood)))
	fmt.Fprintf(w, "firewall\t%s\n", firewallLine(&st.Firewall, now))
	fmt.Fprintf(w, "allowlist\t%s", prefixes(st.Allowlist.Entries))
	if n := len(st.Allowlist.Problems); n > 0 {
		fmt.Fprintf(w, ", %s ('postmoat allow' tells)", several(n, "problem"))
	}
	fmt.Fprintln(w)
	if b := st.Breaker; b.Tripped {
		fmt.Fprintf(w, "breaker\ttripped: no new wide bans until %s\n", ahead(b.Until, now))
	}
	fmt.Fprintf(w, "state\t%s\n", snapshotLine(&st.Snapshot, now))
	fmt.Fprintf(w, "memory\t%s\n", size(st.Memory))
	if err := w.Flush(); err != nil {
		return err
	}
	return showNear(out, st.Near)
}

func sourceLine(s *daemon.SourceStatus, now time.Time) string {
	line := clean(s.Name) + ": " + clean(string(s.State))
	switch {
	case s.LastLine != nil:
		line += ", last line " + ago(*s.LastLine, now)
	default:
		line += ", no line yet"
	}
	if s.Lag > 0 {
		line += ", " + size(uint64(s.Lag)) + " behind"
	}
	if s.Long+s.Refused > 0 {
		line += fmt.Sprintf(", %s left out", several(int(s.Long+s.Refused), "line"))
	}
	if s.Shift != 0 {
		line += fmt.Sprintf(", its stamps corrected by %+d s", s.Shift)
	}
	return line
}

func firewallLine(f *daemon.FirewallStatus, now time.Time) string {
	line := fmt.Sprintf("%s, %s, ", clean(f.Backend), entries(f.Entries))
	if f.InStep {
		line += "in step"
	} else {
		line += "NOT IN STEP"
		if f.Since != nil {
			line += " since " + ago(*f.Since, now)
		}
		if f.Error != "" {
			line += ": " + clean(f.Error)
		}
	}
	line += fmt.Sprintf("; %s packets kept out, %s connections cut", number(f.Packets), number(f.Cut))
	if f.Repairs > 0 {
		line += ", repaired " + several(int(f.Repairs), "time")
	}
	return line
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return number(uint64(n)) + " entries"
}

func snapshotLine(s *daemon.SnapshotStatus, now time.Time) string {
	line := "not saved yet"
	if s.At != nil {
		line = fmt.Sprintf("saved %s, %s", ago(*s.At, now), size(uint64(max(s.Bytes, 0))))
	}
	if s.Pending > 0 {
		line += ", " + several(s.Pending, "record") + " waiting for the disk"
	}
	if s.Error != "" {
		line += "; " + clean(s.Error)
	}
	return line
}

func showNear(out io.Writer, near []daemon.Near) error {
	if len(near) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nclose to a limit ('postmoat explain ADDRESS' says more)")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, n := range near {
		who := n.Client.String()
		if n.Client.IsSingleIP() {
			who = n.Client.Addr().String()
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%.4g of %.4g\t%s\n", who, clean(n.Door), clean(n.Window), n.Score, n.Limit, several(n.Events, "event"))
	}
	return w.Flush()
}

// advice says what to do about an alarm whose text only says what is.
func advice(kind string) string {
	switch kind {
	case "quiet":
		return ". Is Postfix still logging there? See 'postmoat check' and the log's rotation"
	case "not-understood":
		return ". 'postmoat explain --log FILE' shows which lines"
	case "skew":
		return ". Check the clock and the time zone of the host that writes the log"
	case "crowd":
		return ". Is a proxy or a container gateway in front? Put its address on the allowlist, or let Postfix see the real one"
	case "firewall":
		return ". It is tried again; 'postmoat check --firewall' says what works here"
	case "allowlist":
		return ". 'postmoat allow' tells what is missing"
	case "breaker":
		return ". Look at 'postmoat list'; 'postmoat resume' closes it"
	case "permission":
		return ". 'postmoat check' tells how to let it read the log"
	}
	return ""
}
