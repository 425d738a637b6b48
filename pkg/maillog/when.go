package maillog

// When is the time of a line by itself, in Unix seconds: a stamp without a
// year takes the year nearest to o.Reference. ok is false when the line has no
// envelope that carries a time.
func When(line []byte, o SourceOptions) (t int64, ok bool) {
	var ev Event
	if !Split(line, &ev) {
		return 0, false
	}
	f := clockFace{location: o.Location, reference: o.Reference}
	return bounded(f.unix(ev.Stamp, o.Reference)), true
}
