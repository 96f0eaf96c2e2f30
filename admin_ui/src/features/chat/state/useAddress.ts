/** The open chat stands in the page's address, so that a reload, a link and the browser's way back find it. */
import { useEffect } from "react";
import { useSearchParams } from "react-router";

import { chooseModel, openChat } from "./library";
import { useChat } from "./store";

const CHAT = "chat";
/** A link to "/?model=NAME" begins a new chat with that model. */
const MODEL = "model";

export function useAddress(): void {
  const [params, setParams] = useSearchParams();
  const openId = useChat((state) => state.openId);
  const addressed = params.get(CHAT);
  const model = params.get(MODEL);
  useEffect(() => {
    if (model !== null) {
      void openChat(null);
      chooseModel(model);
      setParams({}, { replace: true });
    } else if (addressed !== useChat.getState().openId) void openChat(addressed);
  }, [addressed, model, setParams]);
  useEffect(() => {
    // The address may have been followed just now: what counts is the store, not what this drawing saw.
    const open = useChat.getState().openId;
    setParams((old) => {
      if (old.get(CHAT) === open || old.has(MODEL)) return old;
      return new URLSearchParams(open === null ? undefined : { [CHAT]: open });
    });
  }, [openId, setParams]);
}
