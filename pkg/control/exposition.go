package control

import (
	"strconv"
	"strings"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// expositionType is the type of what exposition writes.
const expositionType = "text/plain; version=0.0.4; charset=utf-8"

// A family is the values of one metric.
type family struct {
	name, help, kind string
	samples          []sample
}

// A sample is one value. Suffix is behind the name, and labels are names and
// values in turn.
type sample struct {
	suffix string
	labels []string
	value  float64
}

// distribution fills a family with a histogram.
func (f *family) distribution(h *daemon.Histogram) {
	for i := range min(len(h.Bounds), len(h.Buckets)) {
		f.samples = append(f.samples, sample{"_bucket", []string{"le", number(h.Bounds[i])}, float64(h.Buckets[i])})
	}
	f.samples = append(f.samples, sample{"_bucket", []string{"le", "+Inf"}, float64(h.Count)},
		sample{"_sum", nil, h.Sum}, sample{"_count", nil, float64(h.Count)})
}

var (
	helpEscape  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// exposition is the Prometheus text format. Prometheus's own library can write
// it too, but importing that costs each run of each command more time than most
// of them take.
func exposition(families []family) []byte {
	var b []byte
	for _, f := range families {
		if len(f.samples) == 0 {
			continue
		}
		b = append(b, "# HELP "+f.name+" "+helpEscape.Replace(f.help)+"\n# TYPE "+f.name+" "+f.kind+"\n"...)
		for _, s := range f.samples {
			b = append(b, f.name+s.suffix...)
			for i := 0; i+1 < len(s.labels); i += 2 {
				b = append(b, "{,"[min(i, 1)])
				b = append(b, s.labels[i]+`="`+labelEscape.Replace(s.labels[i+1])+`"`...)
			}
			if len(s.labels) > 0 {
				b = append(b, '}')
			}
			b = append(b, " "+number(s.value)+"\n"...)
		}
	}
	return b
}

// number writes a value; the infinite and what is no number come out as the
// format wants them.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
