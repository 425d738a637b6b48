package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/control"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// explainAddress tells all that the daemon knows of an address.
func explainAddress(c *cobra.Command, conn *connection, text, format string) error {
	p, err := prefix.ParseAny(text)
	if err != nil {
		return hinted{usageError{err}, "write one address, like 192.0.2.7"}
	}
	if !p.IsSingleIP() {
		return hinted{usagef("%s is a network: explain is about one address", p), "'postmoat list " + p.String() + "' lists the bans that touch it"}
	}
	d, err := conn.dial(c)
	if err != nil {
		return err
	}
	defer d.Close()
	x, err := d.Explain(c.Context(), p.Addr())
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(c.OutOrStdout(), x)
	}
	return showExplanation(c.OutOrStdout(), p.Addr(), &x)
}

func showExplanation(out io.Writer, a netip.Addr, x *control.Explanation) error {
	now := x.Now
	if len(x.Bans) == 0 {
		fmt.Fprintf(out, "%s is not banned.\n", a)
	}
	for _, b := range x.Bans {
		fmt.Fprintf(out, "%s is banned at door %s by %s, until %s, %s.\n", a, b.Door, b.Prefix, ahead(b.Until, now), clean(b.State))
		wrapped(out, "    ", b.Why)
	}
	for _, e := range x.Allowed {
		until := ""
		if e.Until != nil {
			until = ", until " + ahead(e.Until, now)
		}
		fmt.Fprintf(out, "It is allowlisted: %s, %s from %s%s.\n", e.Prefix, e.Kind, clean(e.Origin), until)
	}
	switch {
	case x.KnownGood != nil:
		fmt.Fprintf(out, "It is known good since %s, by %.3g good messages or logins of late.\n", ago(*x.KnownGood, now), x.Messages)
	case x.Messages > 0:
		fmt.Fprintf(out, "It has sent %.3g good messages or logins of late, which is not enough to be known good.\n", x.Messages)
	}
	any := false
	for i := range x.Standing {
		any = showStanding(out, &x.Standing[i], now) || any
	}
	if !any && len(x.Bans) == 0 {
		fmt.Fprintln(out, "Nothing counts against it.")
	}
	for i, b := range x.Past {
		if i == 0 {
			fmt.Fprintln(out, "Earlier bans:")
		}
		into := ""
		if b.Into != "" {
			into = " by " + b.Into
		}
		fmt.Fprintf(out, "    %s at door %s, %s to %s, %s%s\n", b.Prefix, b.Door, clock(b.From, now), clock(b.Until, now), b.Ended, into)
	}
	return nil
}

// shownEvidence is how many events of a window are shown.
const shownEvidence = 5

// showStanding tells how close an address is to one limit, if it is at all.
func showStanding(out io.Writer, s *control.Standing, now time.Time) bool {
	if s.Events == 0 {
		return false
	}
	who := "it"
	if s.Clients > 0 {
		who = fmt.Sprintf("its network %s (%s)", s.Client, several(s.Clients, "client"))
	}
	line := fmt.Sprintf("Door %s, window %s (%s): %s has %.4g of %.4g, by %s", s.Door, clean(s.Window), span(time.Duration(s.Span)*time.Second), who, s.Score, s.Limit, several(s.Events, "event"))
	if s.Accepted > 0 {
		line += " beside " + several(s.Accepted, "recipient") + " of accepted messages"
	}
	fmt.Fprintln(out, line+".")
	first := max(0, len(s.Evidence)-shownEvidence)
	if first > 0 {
		fmt.Fprintf(out, "    ... %s before\n", several(first, "event"))
	}
	for _, e := range s.Evidence[first:] {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(", %d times", e.Count)
		}
		client := ""
		if s.Clients > 0 {
			client = e.Client + "  "
		}
		fmt.Fprintf(out, "    %s  %s%s, weight %.4g%s\n", e.Time.Local().Format(time.DateTime), client, clean(strings.Join(e.Rules, ", ")), e.Weight, times)
	}
	return true
}
