package attacks
import ("testing";"strings")
func TestDbg(t *testing.T){
 tests := testsByNumber(t)
 for _,a := range attacks(t){ 
  var n []string
  for _,f := range tests[a.number]{ if f.over.h2 && f.dir!="proxy" { n=append(n,f.dir+"."+f.name)} }
  t.Log(a.number, strings.Join(n," "))
 }
}
