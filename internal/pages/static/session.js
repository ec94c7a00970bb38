// For single-page applications: says when a sign-in is needed, and lets a person sign in again in a window of its own, so that
// nothing of what they were doing is lost. docs/single-page-apps.md tells how. It has at most 1,024 bytes without these lines, in
// ES2017; that is why it is written so tightly. b is our prefix, f the browser's own fetch, q who waits for a login, u where one
// begins, o whether the page was told, t the timer. Only answers of b's origin are believed, and only login_urls below b. The
// window is cut off from the page at once: whatever a provider leads it to cannot send the page elsewhere. Safari before 15.4 has
// no BroadcastChannel; there the focus that comes back says that the window is closed.
(()=>{let b=new URL("..",document.currentScript.src),f=fetch,q=[],u=b+"start",o,t,
see=r=>{if(r.status==401&&r.url.startsWith(b.origin+"/")&&/problem/.test(r.headers.get("content-type")))r.clone().json().then(p=>{
if(p.code!="login_required")return
if((p.login_url+"").startsWith(b))u=p.login_url
o||dispatchEvent(new CustomEvent("doorward:login_required",{detail:p}))
o=1},e=>0)
return r},
check=async()=>{let s,n=60
try{let r=see(await f(b+"session",{cache:"no-store"}))
if(r.ok){s=await r.json()
n=Math.max(5,Math.min(600,s.session.ends_in_seconds,s.session.timeout_in_seconds)+1)
o=0
q.splice(0).map(g=>g(s))}}catch(e){}
clearTimeout(t)
t=setTimeout(check,n*1e3)
return s}
fetch=(...x)=>f(...x).then(see)
doorward={check,login:()=>new Promise((y,n)=>{let l=new URL(u),w
l.searchParams.set("rd",b.pathname+"signed_in")
if(w=open(l,"_blank","popup"))w.opener=null,q.push(y)
else n(Error("blocked"))})}
if(self.BroadcastChannel)new BroadcastChannel("doorward").onmessage=check
addEventListener("focus",check)
check()})()
