package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

const clockFormat = "2006-01-02 15:04:05"

// Text writes the report for people. top bounds the lists, 0 is no bound; the
// error is that of the writer.
func (r *Report) Text(w io.Writer, top int) error {
	var b bytes.Buffer
	t := &text{w: &b, r: r, top: top}
	t.head()
	if r.Events > 0 {
		t.attack()
		t.verdict()
		t.bans()
		t.collateral()
		t.clients()
		t.rules()
	}
	t.notUnderstood()
	t.notes()
	_, err := w.Write(b.Bytes())
	return err
}

type text struct {
	w   *bytes.Buffer
	r   *Report
	top int
}

func (t *text) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

func (t *text) title(s string) { t.printf("\n%s\n", strings.ToUpper(s)) }

// bound is how many of n rows are shown.
func (t *text) bound(n int) int {
	if t.top > 0 {
		return min(n, t.top)
	}
	return n
}

func (t *text) head() {
	r := t.r
	t.printf("%s, %s of %s\n", count(r.Lines, "line"), count(r.Events, "event"), count(r.Clients, "client"))
	switch {
	case r.First != nil:
		t.printf("from %s to %s UTC\n", r.First.Format(clockFormat), r.Last.Format(clockFormat))
	case r.Learnt > 0 || r.Past:
		t.printf("nothing in it is of the time that was asked for\n")
	default:
		t.printf("no line of Postfix or Dovecot says anything about a client\n")
	}
	if r.Learnt > 0 {
		t.printf("%s before that only taught who is a good sender\n", count(r.Learnt, "event"))
	}
}

func (t *text) attack() {
	r, a := t.r, t.r.Attack
	t.title("the attack")
	if a == nil {
		t.printf("  None: not one offence in the log.\n")
		return
	}
	clients := 0
	for _, n := range r.Networks {
		clients += n.Clients
	}
	t.wrap("  ", fmt.Sprintf("%s from %s of %s. The busiest time was from %s to %s UTC: %s, up to %s a minute (%s).",
		count(r.Offences, "offence"), count(clients, "client"), count(len(r.Networks), "network"),
		a.From.Format(clockFormat), a.Until.Format(clockFormat), count(a.Offences, "offence"),
		number(a.Peak), a.PeakAt.Format("15:04")))
	if len(r.Rules) > 0 {
		x := r.Rules[0]
		t.wrap("  ", fmt.Sprintf("What they did most (%s): %s. %s", percent(x.Offences, r.Offences), x.Name, firstSentence(x.About)))
	}
	tw := t.table()
	fmt.Fprintf(tw, "  NETWORK\tCLIENTS\tOFFENCES\tSHARE\n")
	n := t.bound(len(r.Networks))
	for _, x := range r.Networks[:n] {
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", x.Prefix, number(x.Clients), number(x.Offences), percent(x.Offences, r.Offences))
	}
	tw.Flush()
	t.more(len(r.Networks)-n, "network")
}

func (t *text) verdict() {
	r := t.r
	t.title("what postmoat would have done")
	if len(r.Bans) == 0 {
		t.printf("  Nothing: no client reached a limit, nobody would have been banned.\n")
	} else {
		hosts, nets := 0, 0
		for i := range r.Bans {
			if host(r.Bans[i].Prefix) {
				hosts++
			} else {
				nets++
			}
		}
		t.printf("  %s: %s and %s; at most %s in force at once.\n", count(len(r.Bans), "ban"),
			count(hosts, "host"), count(nets, "network"), count(r.Firewall.Peak, "firewall entry"))
		t.printf("  Prevented: %s of %s offences (%s).\n", number(r.Prevented.Events), number(r.Offences),
			percent(r.Prevented.Events, r.Offences))
	}
	if r.Collateral.Clients == 0 {
		t.printf("  Collateral: none. No accepted message or login would have been cut; %s seen.\n", count(r.Good, "good event"))
	} else {
		t.printf("  Collateral: %s of %s, of %s seen.\n", count(r.Collateral.Messages, "good event"),
			count(r.Collateral.Clients, "client"), number(r.Good))
	}
	if r.Allowlisted > 0 {
		t.printf("  %s of allowlisted clients did not count.\n", count(r.Allowlisted, "offence"))
	}
	if r.Stale > 0 {
		t.printf("  %s of clients with an old password of their own did not count.\n", count(r.Stale, "failed login"))
	}
}

func (t *text) bans() {
	r := t.r
	if len(r.Bans) == 0 {
		return
	}
	t.title("bans, those that kept out most first")
	n := t.bound(len(r.Bans))
	bans := slices.Clone(r.Bans)
	slices.SortStableFunc(bans, func(a, b Ban) int { return cmp.Compare(b.Prevented, a.Prevented) })
	for i := range bans[:n] {
		b := &bans[i]
		end := b.Ended
		switch {
		case b.Into != "":
			end += " into " + b.Into
		case b.Ended == "running":
			end = "still running"
		}
		t.printf("  %s  door %s, %s to %s UTC\n      %s, %s; %s, %s prevented\n", b.Prefix, b.Door,
			b.From.Format(clockFormat), b.Until.Format(clockFormat), b.Until.Sub(b.From).Round(time.Second), end,
			count(len(b.Members), "member"), count(b.Prevented, "line"))
		t.wrap("      ", b.Why)
	}
	t.more(len(r.Bans)-n, "ban")
}

func (t *text) collateral() {
	if len(t.r.Hurt) == 0 {
		return
	}
	t.title("whom it would have hurt")
	tw := t.table()
	fmt.Fprintf(tw, "  CLIENT\tGOOD EVENTS CUT\tOF\n")
	for _, x := range t.r.Hurt {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", x.Addr, number(x.Collat), number(x.Good))
	}
	tw.Flush()
	t.more(t.r.Collateral.Clients-len(t.r.Hurt), "client")
}

func (t *text) clients() {
	if len(t.r.Noisiest) == 0 {
		return
	}
	t.title("noisiest clients")
	tw := t.table()
	fmt.Fprintf(tw, "  CLIENT\tOFFENCES\tPREVENTED\tGOOD\tLAST RULE\n")
	for _, x := range t.r.Noisiest {
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\n", x.Addr, number(x.Offences), number(x.Prevented), number(x.Good), x.Rule)
	}
	tw.Flush()
}

func (t *text) rules() {
	if len(t.r.Rules) == 0 {
		return
	}
	t.title("rules")
	tw := t.table()
	fmt.Fprintf(tw, "  RULE\tOFFENCES\tSHARE\tMEANING\n")
	n := t.bound(len(t.r.Rules))
	for _, x := range t.r.Rules[:n] {
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", x.Name, number(x.Offences), percent(x.Offences, t.r.Offences), firstSentence(x.About))
	}
	tw.Flush()
	t.more(len(t.r.Rules)-n, "rule")
}

func (t *text) notUnderstood() {
	r := t.r
	if r.NotUnderstood == 0 {
		return
	}
	t.title("not understood")
	t.printf("  %s:\n", r.notUnderstood())
	for _, s := range r.Samples {
		t.printf("  %s: %s\n", s.Where, s.Text)
	}
}

// notUnderstood says how many lines that were, and their share.
func (r *Report) notUnderstood() string {
	return fmt.Sprintf("%s of Postfix or Dovecot (%s of what they said) matched no known form and did not count",
		count(r.NotUnderstood, "line"), percent(r.NotUnderstood, r.NotUnderstood+r.Events+r.Learnt))
}

// Warnings are what the JSON form has no place for: the notes, and the lines that
// were not understood.
func (r *Report) Warnings() []string {
	if r.NotUnderstood == 0 {
		return r.Notes
	}
	return append([]string{r.notUnderstood() + "."}, r.Notes...)
}

func (t *text) notes() {
	if len(t.r.Notes) == 0 {
		return
	}
	t.title("notes")
	for _, n := range t.r.Notes {
		t.wrap("  ", n)
	}
}

func (t *text) table() *tabwriter.Writer { return tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0) }

func (t *text) more(n int, what string) {
	if n > 0 {
		t.printf("  ... and %s more (--top 0 shows all)\n", count(n, what))
	}
}

// wrap prints a paragraph, 96 columns wide.
func (t *text) wrap(indent, s string) {
	line := indent
	for _, word := range strings.Fields(s) {
		if len(line)+1+len(word) > 96 && line != indent {
			t.printf("%s\n", line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	t.printf("%s\n", line)
}

func host(prefix string) bool {
	return strings.HasSuffix(prefix, "/32") || strings.HasSuffix(prefix, "/64") || strings.HasSuffix(prefix, "/128")
}

func firstSentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.Index(s, ". "); i >= 0 {
		s = s[:i+1]
	}
	return s
}

func percent[N ~uint64](part, whole N) string {
	if whole == 0 {
		return "0 %"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + " %"
}

// count is a number with its noun: "1 ban", "12,345 bans".
func count[N ~int | ~uint32 | ~uint64](n N, noun string) string {
	s := number(n) + " "
	switch {
	case n == 1:
		return s + noun
	case strings.HasSuffix(noun, "y"):
		return s + noun[:len(noun)-1] + "ies"
	}
	return s + noun + "s"
}

// number groups the digits by thousands.
func number[N ~int | ~uint32 | ~uint64](n N) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
