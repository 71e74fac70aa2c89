/** A request that was understood and refused; the message is for the person. `status` is HTTP's, or 0. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}
